"""Addresses of targets that are host names, from the system's resolver, asked again and again.

A resolver that fails takes nothing away: the last good answer stays. One host's trouble is its own; each has a task.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import chain, zip_longest
from types import MappingProxyType
from typing import Final

import structlog

from gateway.control.lookup import SystemLookup
from gateway.model import IPAddress

log = structlog.get_logger()

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""A host's addresses as IP text, best first. Raises OSError, or UnicodeError for what is no host name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverSettings:
    """Seconds, except `concurrency`. After a failure: `retry_first`, doubled up to `retry_most`.

    `pause_per_host`: a new mapping costs its reader work on all forwards, so the next one waits for so long times the
    number of hosts, and the answers that come meanwhile share it.
    """

    refresh: float = 30.0
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
    """Calls `on_names` with the complete mapping, host → addresses best first, soon after it changed.

    A host without any answer so far is not in it. An answer with the same addresses in another order is no change:
    name servers rotate, and a target that works is worth more than the rotation.
    """

    def __init__(
        self,
        on_names: Callable[[Mapping[str, tuple[str, ...]]], None],
        *,
        settings: ResolverSettings = DEFAULT_SETTINGS,
        lookup: Lookup | None = None,
    ) -> None:
        """`lookup=None` asks the system's resolver."""
        self._on_names = on_names
        self._settings = settings
        self._lookup = SystemLookup() if lookup is None else lookup
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._hosts: frozenset[str] = frozenset()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._answers: dict[str, tuple[str, ...]] = {}
        self._published: Mapping[str, tuple[str, ...]] = {}
        self._changed = asyncio.Event()

    def watch(self, hosts: frozenset[str]) -> None:
        """Resolve these host names (no IP addresses), and forget all others. Before `run` or at any time."""
        self._hosts = hosts
        self._changed.set()

    async def run(self) -> None:
        """Resolve until cancelled. What `on_names` raises ends it."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._reconcile(group)
                self._publish()
                await asyncio.sleep(self._settings.pause_per_host * len(self._hosts))

    def _reconcile(self, group: asyncio.TaskGroup) -> None:
        for host in self._tasks.keys() - self._hosts:
            self._tasks.pop(host).cancel()
            self._answers.pop(host, None)
        for host in self._hosts - self._tasks.keys():
            self._tasks[host] = group.create_task(self._follow(host), name=f"resolve {host}")

    def _publish(self) -> None:
        if self._answers != self._published:
            self._published = MappingProxyType(dict(self._answers))
            self._on_names(self._published)

    async def _follow(self, host: str) -> None:
        failures = 0
        while True:
            try:
                addresses = await self._resolve(host)
            except (OSError, ValueError) as error:  # UnicodeError is a ValueError
                failures += 1
                if failures == 1:
                    log.warning("name.failed", host=host, error=_why(error), kept=self._answers.get(host))
                await asyncio.sleep(self._retry_after(failures))
            else:
                self._accept(host, addresses, recovered=failures > 0)
                failures = 0
                await asyncio.sleep(self._settings.refresh)

    async def _resolve(self, host: str) -> tuple[str, ...]:
        async with self._slots, asyncio.timeout(self._settings.deadline):
            addresses = happy_order(await self._lookup(host))
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        return addresses

    def _accept(self, host: str, addresses: tuple[str, ...], *, recovered: bool) -> None:
        changed = set(addresses) != set(self._answers.get(host, ()))
        if changed:
            self._answers[host] = addresses
            self._changed.set()
        if changed or recovered:
            log.info("name.resolved", host=host, addresses=self._answers[host])

    def _retry_after(self, failures: int) -> float:
        return min(self._settings.retry_first * 2.0 ** min(failures - 1, 16), self._settings.retry_most)


def _why(error: Exception) -> str:
    """A time-out has no text of its own."""
    return str(error) or "no answer in time"


def _plain(text: str) -> IPAddress:
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
