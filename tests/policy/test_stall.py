from __future__ import annotations

import pytest

from gateway.policy.stall import Counters, count, is_doubtful, is_stalled


def read(*readings: tuple[int, int]) -> Counters | None:
    """Readings (transmitted, received), one a second from 0.0 on."""
    counters = None
    for second, (transmitted, received) in enumerate(readings):
        counters = count(counters, float(second), transmitted, received)
    return counters


SENDING = tuple((10 * second, 7) for second in range(7))


@pytest.mark.parametrize(
    ("readings", "since", "sent"),
    [
        (SENDING[:1], None, 0),
        (SENDING[:2], 0.0, 10),
        (SENDING, 0.0, 60),
        (((0, 0), (10, 5), (20, 5), (30, 5)), 1.0, 20),  # since the last that came in
        (((0, 0), (10, 0), (10, 0)), None, 0),  # idle is not stalled
        (((0, 0), (10, 0), (10, 0), (20, 0)), 2.0, 10),
        (((50, 50), (60, 50), (5, 0)), None, 0),  # another device's counters
        (((50, 50), (60, 50), (70, 3)), None, 0),
    ],
)
def test_since_when_it_only_sends(readings: tuple[tuple[int, int], ...], since: float | None, sent: int):
    counters = read(*readings)
    assert counters is not None
    assert (counters.since, counters.sent) == (since, sent)


@pytest.mark.parametrize(
    ("readings", "alive_at", "doubtful", "stalled"),
    [
        ((), None, False, False),
        (SENDING[:1], None, False, False),
        (((0, 0), (4, 0)), None, False, False),  # a few packets to itself
        (((0, 0), (5, 0)), None, True, False),
        (SENDING[:5], None, True, False),
        (SENDING[:6], None, True, True),
        (SENDING, None, True, True),
        (SENDING, -1.0, True, True),
        (SENDING, 0.0, False, False),  # something else says that it lives
        (SENDING, 4.0, False, False),
        (tuple((second, 0) for second in range(6)), None, True, True),
        (tuple((second // 2, 0) for second in range(20)), None, False, False),
    ],
)
def test_stalled_after_a_while(
    readings: tuple[tuple[int, int], ...], alive_at: float | None, doubtful: bool, stalled: bool
):
    counters = read(*readings)
    assert is_doubtful(counters, alive_at) is doubtful
    assert is_stalled(counters, alive_at, 5.0) is stalled
