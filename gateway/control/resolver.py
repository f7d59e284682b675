"""Addresses of targets that are host names, from the system's resolver or through a tunnel, asked again and again.

A resolver that fails takes nothing away: the last good answer stays. One host's trouble is its own; each has a task,
one for each way in which it is asked. An answer is good for its TTL, within bounds; the system's tells none.
"""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import chain, zip_longest
from types import MappingProxyType
from typing import Final

import structlog

from gateway.control.lookup import Answer, Lookup, SystemLookup
from gateway.control.tunnel_lookup import TunnelLookup
from gateway.model import IPAddress
from gateway.policy.names import TunnelNames, Way

log = structlog.get_logger()

Addresses = tuple[str, ...]
OnNames = Callable[[Mapping[str, Addresses], Mapping[tuple[str, str], Addresses]], None]
"""Takes the addresses of hosts by host, as the system says, and by (tunnel, host), as the tunnels' name servers say."""

_Question = tuple[str | None, str]
"""A host, and the tunnel that is asked about it; None: the system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverSettings:
    """Seconds, except `concurrency`, which is of the system and of each tunnel by itself.

    `refresh` is for answers without a TTL; others are good for theirs, but `ttl_least` at least and `ttl_most` at most.
    After a failure: `retry_first`, doubled up to `retry_most`.

    `pause_per_host`: a new mapping costs its reader work on all forwards, so the next one waits for so long times the
    number of hosts, and the answers that come meanwhile share it.
    """

    refresh: float = 30.0
    ttl_least: float = 5.0
    ttl_most: float = 300.0
    retry_first: float = 1.0
    retry_most: float = 30.0
    deadline: float = 5.0
    concurrency: int = 16
    pause_per_host: float = 0.00005


DEFAULT_SETTINGS: Final = ResolverSettings()


def happy_order(addresses: Iterable[str]) -> tuple[str, ...]:
    """Canonical text without repetition, families alternating, the first one's first (RFC 8305, section 4).

    IPv6-mapped IPv4 is IPv4. Raises ValueError for what is no IP address.
    """
    parsed = dict.fromkeys(_plain(address) for address in addresses)
    if not parsed:
        return ()
    first = next(iter(parsed)).version
    leading = [str(address) for address in parsed if address.version == first]
    other = [str(address) for address in parsed if address.version != first]
    return tuple(address for address in chain.from_iterable(zip_longest(leading, other)) if address is not None)


class Resolver:
    """Calls `on_names` with the complete mappings, addresses best first, soon after one of them changed.

    A host without any answer so far is not in them. An answer with the same addresses in another order is no change:
    name servers rotate, and a target that works is worth more than the rotation. A mapping that did not change is the
    one that was given before.
    """

    def __init__(
        self,
        on_names: OnNames,
        *,
        settings: ResolverSettings = DEFAULT_SETTINGS,
        lookup: Lookup | None = None,
        lookup_through: Callable[[Way], Lookup] = TunnelLookup,
    ) -> None:
        """`lookup=None` asks the system's resolver. `lookup_through` is what asks in a tunnel's way."""
        self._on_names = on_names
        self._settings = settings
        self._lookup = SystemLookup() if lookup is None else lookup
        self._lookup_through = lookup_through
        self._slots: defaultdict[str | None, asyncio.Semaphore] = defaultdict(self._make_slots)
        self._wanted: Mapping[_Question, Way | None] = {}
        self._followed: dict[_Question, tuple[Way | None, asyncio.Task[None]]] = {}
        self._answers: dict[_Question, Addresses] = {}
        self._failing: set[_Question] = set()
        self._system: Mapping[str, Addresses] = {}
        self._through: Mapping[tuple[str, str], Addresses] = {}
        self._changed = asyncio.Event()

    def watch(self, hosts: frozenset[str], through: Mapping[str, TunnelNames] = MappingProxyType({})) -> None:
        """Resolve these host names (no IP addresses): `hosts` by the system, `through` by tunnel. Forget all others.

        Before `run` or at any time. Names whose tunnel's way has changed are asked anew at once; what is known of them
        stays, also while the way is not usable.
        """
        self._wanted = {
            **{(None, host): None for host in hosts},
            **{(tunnel, host): names.way for tunnel, names in through.items() for host in names.hosts},
        }
        self._changed.set()

    async def run(self) -> None:
        """Resolve until cancelled. What `on_names` raises ends it."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._reconcile(group)
                self._publish()
                await asyncio.sleep(self._settings.pause_per_host * len(self._wanted))

    def _make_slots(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._settings.concurrency)

    def _reconcile(self, group: asyncio.TaskGroup) -> None:
        for question in self._followed.keys() - self._wanted.keys():
            self._followed.pop(question)[1].cancel()
            self._answers.pop(question, None)
            self._failing.discard(question)
        for question, way in self._wanted.items():
            followed = self._followed.get(question)
            if followed is not None and followed[0] == way:
                continue
            if followed is not None:
                followed[1].cancel()
            name = f"resolve {question[1]}" if question[0] is None else f"resolve {question[1]} through {question[0]}"
            self._followed[question] = (way, group.create_task(self._follow(question, way), name=name))

    def _publish(self) -> None:
        system = {host: addresses for (tunnel, host), addresses in self._answers.items() if tunnel is None}
        through = {
            (tunnel, host): addresses for (tunnel, host), addresses in self._answers.items() if tunnel is not None
        }
        if system == self._system and through == self._through:
            return
        if system != self._system:
            self._system = MappingProxyType(system)
        if through != self._through:
            self._through = MappingProxyType(through)
        self._on_names(self._system, self._through)

    async def _follow(self, question: _Question, way: Way | None) -> None:
        """Ask again and again; for a way that is not usable only say so: one that is will be followed anew."""
        if way is not None and not way.usable:
            self._fail(question, f"{way.interface} cannot be used")
            return
        lookup = self._lookup if way is None else self._lookup_through(way)
        failures = 0
        while True:
            try:
                answer = await self._resolve(question, lookup)
            except (OSError, ValueError) as error:  # UnicodeError is a ValueError
                failures += 1
                self._fail(question, _why(error))
                await asyncio.sleep(self._retry_after(failures))
            else:
                failures = 0
                self._accept(question, answer)
                await asyncio.sleep(self._good_for(answer))

    async def _resolve(self, question: _Question, lookup: Lookup) -> Answer:
        tunnel, host = question
        async with self._slots[tunnel], asyncio.timeout(self._settings.deadline):
            answer = await lookup(host)
        kept = [text for text in self._answers.get(question, ()) if _plain(text).version in answer.missing]
        addresses = happy_order([*answer.addresses, *kept])
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        return replace(answer, addresses=addresses)

    def _accept(self, question: _Question, answer: Answer) -> None:
        changed = set(answer.addresses) != set(self._answers.get(question, ()))
        if changed:
            self._answers[question] = answer.addresses
            self._changed.set()
        if changed or question in self._failing:
            log.info("name.resolved", **_named(question), addresses=self._answers[question])
        self._failing.discard(question)

    def _fail(self, question: _Question, error: str) -> None:
        if question not in self._failing:
            log.warning("name.failed", **_named(question), error=error, kept=self._answers.get(question))
        self._failing.add(question)

    def _good_for(self, answer: Answer) -> float:
        """Seconds until the host is asked again; soon, if a part of the answer is missing."""
        settings = self._settings
        if answer.ttl is None:
            return settings.refresh
        return max(settings.ttl_least, min(answer.ttl, settings.retry_most if answer.missing else settings.ttl_most))

    def _retry_after(self, failures: int) -> float:
        return min(self._settings.retry_first * 2.0 ** min(failures - 1, 16), self._settings.retry_most)


def _named(question: _Question) -> dict[str, str]:
    """The question as the keys of a log line."""
    tunnel, host = question
    return {"host": host} if tunnel is None else {"host": host, "tunnel": tunnel}


def _why(error: Exception) -> str:
    """A time-out has no text of its own."""
    return str(error) or "no answer in time"


def _plain(text: str) -> IPAddress:
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
