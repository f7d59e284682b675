"""The messages of the data plane are values: they pickle, compare, and cannot be changed."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any

import pytest

from gateway.dataplane.messages import AbortTunnel, DialFailed, FirstConnect, Histogram, SessionEnded, Shed, Stats
from gateway.model import CloseReason, ConnectResult, DialFailure, Endpoint, Vitals
from tests.dataplane.rig import Rig

MESSAGES = [
    AbortTunnel(tunnel="a", forwards=frozenset({"f"})),
    Shed(forward="f", tunnel="a", sessions=3),
    FirstConnect(forward="f", tunnel="a", at=2.5),
    Vitals(heard={Endpoint("db.corp", 5432): 1.5}, large_lost=1448, rtt=0.02),
    Histogram(bounds=(0.1, 1.0), counts=(1, 0, 2), total=3.5),
    Stats(connections={("f", ConnectResult.OK): 1}, sessions=1),
    DialFailed(forward="f", tunnel="a", target=Endpoint("db.corp", 5432), reason=DialFailure.TIMED_OUT),
    SessionEnded(
        forward="f",
        client="192.0.2.1:5",
        listen="*:33000",
        target="db.corp:5432",
        tunnel="a",
        result=ConnectResult.OK,
        reason=CloseReason.EOF,
        to_target=1,
        to_client=2,
        duration=0.5,
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_way_to_another_process(message: Any) -> None:
    assert pickle.loads(pickle.dumps(message)) == message  # noqa: S301 - our own
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(message, dataclasses.fields(message)[0].name, None)


async def test_so_does_what_a_living_engine_says(plain_rig: Rig) -> None:
    client, server = await plain_rig.session()
    await client.echo(server)
    stats = plain_rig.stats
    assert pickle.loads(pickle.dumps(stats)) == stats  # noqa: S301 - our own
    await client.echo(server)
    assert stats != plain_rig.stats  # a copy, not a view
