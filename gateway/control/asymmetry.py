"""Asymmetric paths: answers to one tunnel's dials that come back by another.

The sessions of such a tunnel fail, although both tunnels work: the kernel drops what comes back by the wrong device
(rp_filter), or a firewall of the site does. It looks like a dead tunnel, and is a wrong route beyond it. So while a
tunnel is suspect the devices of the others are listened on, by packet sockets whose filter lets nothing else through;
at all other times nothing is open and nothing is paid.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import structlog

from gateway.control import packet_filter
from gateway.model import LinkFacts
from gateway.observe.events import Event

log = structlog.get_logger()

_ETH_P_ALL: Final = 0x0003  # packet(7)
_ROOM: Final = 64
_CHECK: Final = (
    "the site's route to this address leads into the other tunnel; give each tunnel an address of its own there, "
    "and see that rp_filter does not drop what arrives"
)


class AsymmetryWatch:
    """Warns once of each two tunnels. Call it from the event loop's thread only; `close` it.

    Needs CAP_NET_RAW. Without it nothing is noticed, and a debug line says so.
    """

    def __init__(self) -> None:
        self._ears: dict[str, dict[str, _Ear]] = {}  # suspect tunnel → other tunnel
        self._warned: set[tuple[str, str]] = set()

    def suspect(self, tunnel: str, addresses: frozenset[str], others: Mapping[str, LinkFacts]) -> None:
        """`tunnel`, whose own addresses these are, does not answer: listen for its answers on the devices of `others`.

        May be said again and again, and with other facts. Another with one of these addresses is left out: what comes
        to it is its own.
        """
        wanted = {
            other: facts.index
            for other, facts in others.items()
            if other != tunnel and (tunnel, other) not in self._warned and addresses.isdisjoint(facts.addresses)
        }
        ears = self._ears.setdefault(tunnel, {})
        for other, ear in list(ears.items()):
            if ear.addresses != addresses or wanted.get(other) != ear.index:
                ears.pop(other).close()
        for other in wanted.keys() - ears.keys():
            ear = _Ear(self, tunnel, other, addresses, wanted[other])
            if ear.open():
                ears[other] = ear

    def calm(self, tunnel: str) -> None:
        """`tunnel` answers, or is no more: stop listening for its answers."""
        for ear in self._ears.pop(tunnel, {}).values():
            ear.close()

    def close(self) -> None:
        """Stop listening altogether."""
        for tunnel in list(self._ears):
            self.calm(tunnel)

    def heard(self, tunnel: str, other: str, address: str) -> None:
        """An answer to `tunnel` at `address` came by `other`. Called by the ear that heard it."""
        self._warned.add((tunnel, other))
        self.forget(tunnel, other)
        log.warning(Event.PATH_ASYMMETRIC, tunnel=tunnel, arrived_on=other, address=address, check=_CHECK)

    def forget(self, tunnel: str, other: str) -> None:
        """Stop listening on one device."""
        ear = self._ears.get(tunnel, {}).pop(other, None)
        if ear is not None:
            ear.close()


def packet_socket() -> socket.socket:
    """A non-blocking packet socket that receives nothing until it is bound; the caller's. Raises OSError."""
    return socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)


class _Ear:
    """One packet socket on the device of `other`, for answers to `tunnel`. Owns a descriptor between open and close."""

    def __init__(self, watch: AsymmetryWatch, tunnel: str, other: str, addresses: frozenset[str], index: int) -> None:
        self.addresses = addresses
        self.index = index
        self._watch = watch
        self._tunnel = tunnel
        self._other = other
        self._socket: socket.socket | None = None

    def open(self) -> bool:
        """Whether it listens now; if not, that is said."""
        try:
            made = packet_socket()
        except OSError as error:
            log.debug(Event.PATH_WATCH_UNAVAILABLE, error=str(error))
            return False
        try:
            packet_filter.attach(made, packet_filter.answers_to(sorted(self.addresses)))  # before anything can come in
            made.bind((socket.if_indextoname(self.index), _ETH_P_ALL))
        except OSError as error:
            made.close()
            log.debug(Event.PATH_WATCH_UNAVAILABLE, error=str(error))
            return False
        self._socket = made
        asyncio.get_running_loop().add_reader(made, self._hear)
        return True

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _hear(self) -> None:
        if self._socket is None:
            return
        try:
            packet = self._socket.recv(_ROOM)
        except BlockingIOError:
            return
        except OSError as error:  # the device is down, or gone
            log.debug(Event.PATH_WATCH_UNAVAILABLE, error=str(error))
            self._watch.forget(self._tunnel, self._other)
            return
        destination = packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]  # noqa: PLR2004 - the IP version
        self._watch.heard(self._tunnel, self._other, str(ip_address(destination)))
