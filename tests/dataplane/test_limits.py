"""How many sessions fit into a descriptor limit."""

from __future__ import annotations

import resource

import pytest

from gateway.dataplane.limits import raise_descriptor_limit, sessions_for


@pytest.mark.parametrize(
    ("descriptors", "sessions"), [(1_048_576, 523_008), (20_000, 8720), (5120, 1280), (1024, 256), (64, 16), (20, 16)]
)
def test_sessions_that_fit(descriptors: int, sessions: int) -> None:
    assert sessions_for(descriptors) == sessions


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[1], 1024), before[1]))
    try:
        assert raise_descriptor_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("descriptors", "listeners", "sessions"),
    [(20_000, 0, 8720), (20_000, 1000, 8720), (20_000, 5000, 6720), (6000, 3000, 1500), (6000, 4000, 1000)],
)
def test_listeners_take_descriptors_too(descriptors: int, listeners: int, sessions: int) -> None:
    assert sessions_for(descriptors, listeners=listeners) == sessions
