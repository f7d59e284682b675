"""Which clients a forward lets in: the `allow` list, asked once per address and remembered."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from gateway.model import IPNetwork

_REMEMBERED: Final = 4096  # addresses; the answer is cheap to find again, so a full cache just starts anew


def plain_address(text: str) -> str:
    """The client's address as people write it: a v4-mapped IPv6 address (dual-stack listener) as IPv4, no zone."""
    if text.startswith("::ffff:") and "." in text:
        return text[7:]
    return text.partition("%")[0]


class AllowList:
    """May this client come in? An empty list lets everybody in."""

    __slots__ = ("_answers", "_networks")

    def __init__(self, networks: tuple[IPNetwork, ...]) -> None:
        self._networks = networks
        self._answers: dict[str, bool] = {}

    def __call__(self, client: str) -> bool:
        """Whether `client`, an address as accept(2) gave it, may come in."""
        if not self._networks:
            return True
        answer = self._answers.get(client)
        if answer is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            answer = self._answers[client] = self._ask(ip_address(plain_address(client)))
        return answer

    def _ask(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks if network.version == address.version)
