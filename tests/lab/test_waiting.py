from __future__ import annotations

import itertools

import pytest

from tests.lab.errors import NotReadyError
from tests.lab.waiting import eventually, wait_until


def test_wait_until_returns_when_the_condition_holds():
    looks = itertools.count()
    wait_until(lambda: next(looks) == 3, within=5, what="the fourth look")
    assert next(looks) == 4


def test_wait_until_gives_up_and_shows_the_evidence():
    with pytest.raises(NotReadyError, match=r"not within 0\.01 s: the moon(?s:.)*last words"):
        wait_until(lambda: False, within=0.01, what="the moon", detail=lambda: "last words")


async def test_eventually_does_both_in_an_event_loop():
    looks = itertools.count()

    async def fourth() -> bool:
        return next(looks) == 3

    await eventually(fourth, within=5, what="the fourth look")
    with pytest.raises(NotReadyError, match="the fourth look"):
        await eventually(fourth, within=0.01, what="the fourth look")
