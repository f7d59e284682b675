"""Asking a tunnel's own name servers, through the tunnel's device or not at all.

c-ares asks, by pycares. It binds its sockets to a device by name, and where it cannot, the device being gone, it sends
all the same: by whatever other way there is. So each socket is looked at before anything is sent on it, and shut if it
is not bound to the very device that is meant. This look is why pycares is used without aiodns, which has no place for
it; and why nothing is asked by TCP, where a connection is begun before there is anything to look at.

Each lookup has a channel of its own: c-ares remembers answers for up to an hour, and servers that failed. What is new
remembers nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pycares
from pycares.errno import ARES_ENODATA, ARES_ENOTFOUND, strerror

from gateway.control.lookup import Answer
from gateway.policy.names import Way

_TRY_SECONDS: Final = 1.0
"""Without an answer for so long, the next server is asked."""
_ROUNDS: Final = 2
"""So many times each server is asked, the second time with more patience."""
_TICK_SECONDS: Final = 0.05
"""How often c-ares looks at its clock."""

_FLAGS: Final = pycares.ARES_FLAG_EDNS | pycares.ARES_FLAG_IGNTC
_TYPES: Final = {4: pycares.QUERY_TYPE_A, 6: pycares.QUERY_TYPE_AAAA}
_NO_ADDRESS: Final = frozenset({ARES_ENODATA, ARES_ENOTFOUND})
_SO_BINDTOIFINDEX: Final = 62  # the socket module knows it from Python 3.13 on


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one question: addresses with the shortest TTL on the way to them, or an error of c-ares."""

    addresses: tuple[str, ...] = ()
    ttl: int | None = None
    error: int | None = None


class TunnelLookup:
    """What the name servers of `way` say of a host: IPv4 and IPv6 addresses, asked for as the name stands."""

    def __init__(self, way: Way) -> None:
        self._way = way

    async def __call__(self, host: str) -> Answer:
        """The answer, with its TTL. Raises OSError, ValueError for what is no host name.

        No socket is left when it ends, cancelled or not.
        """
        channel = _Channel(self._way)
        try:
            replies = await asyncio.gather(*(channel.ask(host, kind) for kind in _TYPES.values()))
        finally:
            channel.close()
        if channel.shut:
            raise OSError(f"{self._way.interface} is not the device it was")
        return combine(dict(zip(_TYPES, replies, strict=True)), leading=self._way.leading)


def combine(replies: Mapping[int, Reply], *, leading: int) -> Answer:
    """One answer of the replies by IP version, those of `leading` first. Raises OSError when there is no address."""
    addresses = tuple(
        address
        for version in sorted(replies, key=lambda version: version != leading)
        for address in replies[version].addresses
    )
    errors = {version: reply.error for version, reply in replies.items() if reply.error is not None}
    missing = {version: error for version, error in errors.items() if error not in _NO_ADDRESS}
    if not addresses:
        raise OSError(next(map(strerror, (missing or errors).values()), "the name has no address"))
    ttls = [reply.ttl for reply in replies.values() if reply.ttl is not None]
    return Answer(addresses=addresses, ttl=min(ttls, default=None), missing=frozenset(missing))


class _Channel:
    """A channel of c-ares that the running loop drives. To be closed."""

    def __init__(self, way: Way) -> None:
        """Raises OSError when c-ares cannot be set up so."""
        self.shut = False
        """Whether a socket was not where it belongs, and had to be shut."""
        self._way = way
        self._loop = asyncio.get_running_loop()
        self._readers: set[int] = set()
        self._writers: set[int] = set()
        try:
            self._channel = pycares.Channel(
                flags=_FLAGS,
                timeout=_TRY_SECONDS,
                tries=_ROUNDS,
                servers=[str(server) for server in way.servers],
                local_dev=way.interface,
                local_ip=None if way.source_address is None else str(way.source_address),
                resolvconf_path="/dev/null",  # the system's ways are not the tunnel's
                sock_state_cb=self._on_socket,
            )
        except pycares.AresError as error:
            raise OSError(f"name servers cannot be asked: {error}") from error
        self._ticking = self._loop.call_later(_TICK_SECONDS, self._tick)

    def ask(self, host: str, kind: int) -> asyncio.Future[Reply]:
        """The reply to a question of this type, as it will be; failure is a reply, too."""
        reply: asyncio.Future[Reply] = self._loop.create_future()

        def ended(result: pycares.DNSResult | None, error: int | None) -> None:
            if not reply.done():  # cancelled with the lookup
                reply.set_result(_reply(result, kind, error))

        try:
            self._channel.query(host, kind, callback=ended)
        except pycares.AresError as error:
            ended(None, error.args[0])
        return reply

    def close(self) -> None:
        """End what is asked still. Sockets are closed when this returns; pycares frees the rest in its own thread."""
        self._ticking.cancel()
        self._channel.cancel()
        self._channel.close()

    def _on_socket(self, descriptor: int, readable: bool, writable: bool) -> None:  # noqa: FBT001 - c-ares calls it so
        """c-ares made a socket, is about to close it, or waits for something else on it."""
        if (readable or writable) and descriptor not in self._readers | self._writers:
            self._look_at(descriptor)
        if readable:
            self._loop.add_reader(descriptor, self._channel.process_read_fd, descriptor)
            self._readers.add(descriptor)
        elif descriptor in self._readers:
            self._loop.remove_reader(descriptor)
            self._readers.remove(descriptor)
        if writable:
            self._loop.add_writer(descriptor, self._channel.process_write_fd, descriptor)
            self._writers.add(descriptor)
        elif descriptor in self._writers:
            self._loop.remove_writer(descriptor)
            self._writers.remove(descriptor)

    def _look_at(self, descriptor: int) -> None:
        """See that a new socket leads through the device; what is sent on one that does not is an error from now on."""
        borrowed = socket.socket(fileno=descriptor)
        try:
            if borrowed.getsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX) != self._way.ifindex:
                self.shut = True
                borrowed.shutdown(socket.SHUT_RDWR)
        finally:
            borrowed.detach()

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(_TICK_SECONDS, self._tick)
        self._channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)


def _reply(result: pycares.DNSResult | None, kind: int, error: int | None) -> Reply:
    if result is None:
        return Reply(error=error)
    addresses = tuple(
        record.data.addr
        for record in result.answer
        if record.type == kind and isinstance(record.data, pycares.ARecordData | pycares.AAAARecordData)
    )
    return Reply(
        addresses=addresses,
        ttl=min((record.ttl for record in result.answer), default=None),  # an alias on the way may be the shortest
        error=None if addresses else ARES_ENODATA,
    )
