"""The engine of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.dataplane.rig import OPTIONS, Rig, running_rig


@pytest.fixture(params=OPTIONS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """The engine, once with every combination of options that changes the way bytes take."""
    async with running_rig(OPTIONS[request.param]) as made:
        yield made


@pytest.fixture
async def plain_rig() -> AsyncIterator[Rig]:
    """The engine with its default options: for what does not depend on them."""
    async with running_rig() as made:
        yield made
