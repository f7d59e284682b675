"""What must hold between keys and between entries. Pure: each rule takes values and yields what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from gateway.config import durations
from gateway.config.places import Place
from gateway.config.wording import shown, suggestion
from gateway.model import GatewaySpec, KeepAlive, WhenDown

DRAIN_KEYS: Final = frozenset({"drain_delay", "drain_timeout"})
HEDGE_KEYS: Final = frozenset({"hedge_after", "connect_timeout"})
WAITING_KEYS: Final = frozenset({"when_down", "hold_timeout"})
TIMER_KEYS: Final = frozenset({"keepalive_idle", "keepalive_interval", "keepalive_count", "tcp_user_timeout"})


class Wrong(NamedTuple):
    """A rule is broken at `key`."""

    key: str
    found: str | None
    expected: str


def drain(spec: GatewaySpec) -> Iterator[Wrong]:
    """The delay counts inside the time-out."""
    if spec.drain_delay > spec.drain_timeout:
        longest = durations.render(spec.drain_timeout)
        yield Wrong(
            "drain_delay",
            shown(durations.render(spec.drain_delay)),
            f'counts inside drain_timeout and must not exceed it: at most "{longest}"',
        )


def user_timeout(keepalive: KeepAlive, tcp_user_timeout: float) -> Iterator[Wrong]:
    """TCP_USER_TIMEOUT replaces the keepalive count in the kernel: a shorter one would cut keepalive off."""
    least = keepalive.idle + keepalive.interval * keepalive.count
    if tcp_user_timeout < least:
        yield Wrong(
            "tcp_user_timeout",
            shown(durations.render(tcp_user_timeout)),
            f'must be at least keepalive_idle + keepalive_interval x keepalive_count = "{durations.render(least)}"',
        )


def waiting(when_down: WhenDown, hold_timeout: float) -> Iterator[Wrong]:
    """Clients that wait were accepted; refused ones cannot be."""
    if hold_timeout and when_down is WhenDown.REFUSE:
        yield Wrong(
            "hold_timeout",
            shown(durations.render(hold_timeout)),
            'clients that wait need a listener, and when_down = "refuse" closes it: choose one',
        )


def hedge(hedge_after: float, connect_timeout: float) -> Iterator[Wrong]:
    """A race that starts when the time is up is none."""
    if hedge_after and hedge_after >= connect_timeout:
        longest = durations.render(connect_timeout)
        yield Wrong(
            "hedge_after",
            shown(durations.render(hedge_after)),
            f'must be below connect_timeout = "{longest}": the second dial needs time as well',
        )


def twice(key: str, values: Iterable[Hashable]) -> Iterator[Wrong]:
    """A list names each thing once."""
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            yield Wrong(key, shown(str(value)), "is listed twice")
        seen.add(value)


def tunnel_names(listed: Sequence[str], known: Collection[str]) -> Iterator[Wrong]:
    """A forward lists tunnels that exist, each once. Without any tunnel at all, that alone is reported elsewhere."""
    seen: set[str] = set()
    for name in listed:
        if name in seen:
            yield Wrong("tunnels", shown(name), "is listed twice")
        elif known and name not in known:
            yield Wrong("tunnels", shown(name), f"there is no such tunnel: {suggestion(name, known)}")
        seen.add(name)


def repeated(
    entries: Iterable[tuple[Place, str]], key: str, say: Callable[[Place], str]
) -> Iterator[tuple[Place, Wrong]]:
    """Entries whose value was used by an entry before them; `say` tells it, given that entry's place."""
    first: dict[str, Place] = {}
    for place, value in entries:
        before = first.setdefault(value, place)
        if before is not place:
            yield place, Wrong(key, shown(value), say(before))


def where(place: Place) -> str:
    """A place inside a sentence: `forward "hello" (line 12)`."""
    return place.name if place.line is None else f"{place.name} (line {place.line})"
