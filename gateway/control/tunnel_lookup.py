"""Asking a tunnel's own name servers for a host's addresses: IPv4 and IPv6 at once, the servers in turn.

A server that is silent or in trouble costs its share of the time, never the answer, and so does a family of addresses:
there are servers that answer for IPv4 only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from gateway.control.lookup import Answer
from gateway.control.name_exchange import exchange
from gateway.policy.names import Way

_BUDGET: Final = 4.0
"""Seconds for one question, all servers together; within the deadline that the resolver sets."""
_ROUNDS: Final = 3
"""So many times each server is asked until one of them answers."""
_LARGEST_REPLY: Final = 1232
"""Bytes that get through everywhere in one piece (EDNS): 60 IPv4 addresses, and more."""

_TYPES: Final = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}
_ANSWERED: Final = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of one question. Without `addresses`, `why` says what there is instead.

    `ttl`: the shortest on the way to the addresses, aliases included, seconds. `failed`: nobody gave an answer, as
    opposed to the answer that there are none.
    """

    addresses: tuple[str, ...] = ()
    ttl: int | None = None
    why: str = ""
    failed: bool = False


class TunnelLookup:
    """What the name servers of `way` say of a host, asked for as the name stands: no search domains."""

    def __init__(self, way: Way, *, budget: float = _BUDGET) -> None:
        """`budget`: seconds that a lookup takes at most."""
        self._way = way
        self._budget = budget

    async def __call__(self, host: str) -> Answer:
        """The answer, with its TTL. Raises OSError, ValueError for what is no host name."""
        try:
            queries = [dns.message.make_query(host, kind, payload=_LARGEST_REPLY) for kind in _TYPES.values()]
        except dns.exception.DNSException as error:
            raise ValueError(f"{host!r} is no host name: {error}") from error
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(query), name=f"ask for {host}") for query in queries]
        return combine(dict(zip(_TYPES, (task.result() for task in asked), strict=True)), leading=self._way.leading)

    async def _ask(self, query: dns.message.QueryMessage) -> Reply:
        """Ask each server in turn, and again, each attempt with its share of the time that is left."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._budget
        attempts = self._way.servers * _ROUNDS
        why = ""
        for number, server in enumerate(attempts):
            try:
                async with asyncio.timeout((end - loop.time()) / (len(attempts) - number)):
                    response = await exchange(self._way, server, query)
            except OSError as error:  # TimeoutError is one
                why = f"{server}: {error}" if str(error) else f"{server}: no answer in time"
                continue
            reply = read(response)
            if not reply.failed:
                return reply
            why = f"{server}: {reply.why}"
        return Reply(failed=True, why=why)


def read(response: dns.message.QueryMessage) -> Reply:
    """What a response says. One that was truncated is taken as far as it goes."""
    if response.rcode() not in _ANSWERED:
        return Reply(failed=True, why=dns.rcode.to_text(response.rcode()))
    try:
        chain = response.resolve_chaining()
    except dns.exception.DNSException as error:
        return Reply(failed=True, why=str(error))
    if chain.answer is not None:
        return Reply(addresses=tuple(record.address for record in chain.answer), ttl=chain.minimum_ttl)
    if response.flags & dns.flags.TC:
        return Reply(failed=True, why="the answer is too large")
    return Reply(why="there is no such name" if response.rcode() == dns.rcode.NXDOMAIN else "the name has no address")


def combine(replies: Mapping[int, Reply], *, leading: int) -> Answer:
    """One answer of the replies by IP version, those of `leading` first. Raises OSError when there is no address."""
    addresses = tuple(
        address
        for version in sorted(replies, key=lambda version: version != leading)
        for address in replies[version].addresses
    )
    failed = {version: reply for version, reply in replies.items() if reply.failed}
    if not addresses:
        raise OSError("; ".join(dict.fromkeys(reply.why for reply in (failed or replies).values())))
    ttl = min(reply.ttl for reply in replies.values() if reply.ttl is not None)
    return Answer(addresses=addresses, ttl=ttl, missing=frozenset(failed))
