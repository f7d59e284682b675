"""Roads where a test is about nothing but a client: it prepares them, and whoever runs it opens and closes them."""

from __future__ import annotations

from gateway.model import IPAddress


class NoRoads:
    """A `tools.Roads` without routes. `expected` are the addresses that were announced, by tunnel."""

    def __init__(self) -> None:
        self.expected: dict[str, tuple[IPAddress, ...]] = {}

    async def expect(self, tunnel: str, addresses: tuple[IPAddress, ...]) -> None:
        self.expected[tunnel] = addresses

    async def open(self, tunnel: str, interface: str, addresses: tuple[IPAddress, ...]) -> None:
        raise NotImplementedError

    async def close(self, tunnel: str) -> None:
        raise NotImplementedError
