"""The relay as a property, on random scripts: nothing altered, nothing lost, no truncation that looks complete."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dataplane.play import Play, Script, Side, random_script
from tests.dataplane.rig import OPTIONS, Rig, running_rig, seeded

MIB = 1 << 20

sizes = st.one_of(
    st.integers(0, 10),
    st.integers(0, 5000),
    st.sampled_from((65535, 65536, 65537, 131072, 4 * 65536, 4 * 65536 + 1)),
    st.integers(0, 2 * MIB),
)


@st.composite
def sides(draw: st.DrawFn, size: int, others: int, waits: bool) -> Side:
    return Side(
        size=size,
        chunk=max(1, size // 200, draw(st.integers(1, 200_000))),
        reads=max(1, others // 200, draw(st.integers(1, 200_000))),
        pauses=draw(st.sampled_from((0, 0, 2))),
        waits=waits,
        resets_after=draw(st.one_of(st.none(), st.none(), st.integers(0, size + others))),
    )


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    up, down = draw(sizes), draw(sizes)
    who_waits = draw(st.sampled_from(("client", "target", "nobody")))
    return Script(
        client=draw(sides(up, down, who_waits == "client")), target=draw(sides(down, up, who_waits == "target"))
    )


@given(option=st.sampled_from(sorted(OPTIONS)), played=st.lists(scripts(), min_size=1, max_size=5))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
async def test_what_arrives_is_what_was_sent_or_a_reset(option: str, played: list[Script]) -> None:
    async with running_rig(OPTIONS[option]) as rig:
        await Play(rig, played).run()


@pytest.mark.matrix
@pytest.mark.timeout(900)
@given(option=st.sampled_from(sorted(OPTIONS)), played=st.lists(scripts(), min_size=1, max_size=20))
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
async def test_what_arrives_is_what_was_sent_or_a_reset_at_length(option: str, played: list[Script]) -> None:
    async with running_rig(OPTIONS[option]) as rig:
        await Play(rig, played).run()


async def _stress(rig: Rig, seed: int, *, sessions: int, largest: int) -> None:
    chance = seeded(seed)
    await Play(rig, [random_script(chance, largest=largest) for _ in range(sessions)], seed).run()


@pytest.mark.parametrize("seed", range(2))
async def test_many_sessions_at_once(rig: Rig, seed: int) -> None:
    await _stress(rig, seed, sessions=120, largest=1 * MIB)


async def test_a_few_large_ones_at_once(rig: Rig) -> None:
    large = Side(size=24 * MIB, chunk=300_000, reads=1 << 18)
    small = Side(size=70_000, chunk=5000, reads=1000)
    await Play(
        rig,
        [
            Script(client=large, target=Side(waits=True)),
            Script(client=Side(waits=True), target=large),
            Script(client=large, target=Side(**{**vars(large), "pauses": 1})),
            *[Script(client=small, target=small)] * 20,
        ],
    ).run()


@pytest.mark.matrix
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 110))
async def test_many_sessions_at_once_at_length(rig: Rig, seed: int) -> None:
    await _stress(rig, seed, sessions=300, largest=2 * MIB)


@pytest.mark.matrix
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(200, 205))
async def test_large_sessions_at_length(rig: Rig, seed: int) -> None:
    await _stress(rig, seed, sessions=12, largest=64 * MIB)
