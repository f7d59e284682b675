"""What must hold between the keys of `[tunnel.health]`. Pure: each rule takes values and yields what is wrong.

A rule is looked at where one of its keys is written: what a table takes from `[defaults.tunnel]` alone is judged
there, once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.config import durations, icmp, percents
from gateway.config.rules import Wrong
from gateway.config.tunnel_tables import HealthTable
from gateway.config.wording import shown
from gateway.model import ProbeKind, ProbeSpec


class _Order(NamedTuple):
    """`less` must be below `more` (`equal`: or at it), and why. `render` shows both as they would be written."""

    less: str
    more: str
    why: str
    equal: bool = False
    render: Callable[[float], str] = durations.render


_ORDERS: Final = (
    _Order("suspect_after", "timeout", "a probe is doubted before it fails"),
    _Order("timeout", "down_after", "a probe must be able to fail before the tunnel is DOWN"),
    _Order("fast_interval", "interval", "a suspect is probed more often, not less", equal=True),
    _Order("recovery_latency", "failure_latency", "recovery is the better value of the two", equal=True),
    _Order(
        "recovery_loss", "failure_loss", "recovery is the better value of the two", equal=True, render=percents.render
    ),
)
_LARGE: Final = 1000
"""Bytes of payload from which on an echo request measures the path MTU, and does not speak for the tunnel's life."""

_PARTNERS: Final = (("recovery_latency", "failure_latency"), ("recovery_loss", "failure_loss"))


def broken(table: HealthTable, written: Collection[str], wrong: Collection[str]) -> Iterator[Wrong]:
    """What is wrong between keys, where one of them is `written` here and none is `wrong` already."""

    def concerns(*keys: str) -> bool:
        return not set(keys).isdisjoint(written) and set(keys).isdisjoint(wrong)

    for order in _ORDERS:
        if concerns(order.less, order.more):
            yield from _ordered(table, order, written)
    for key, partner in _PARTNERS:
        if concerns(key, partner) and getattr(table, key) is not None and getattr(table, partner) is None:
            yield Wrong(f"health.{key}", None, f"needs {partner} beside it: there is nothing to recover from")
    if concerns("probes"):
        yield from _repeated(table.probes or ())
    if concerns("reliability", "probes") and table.probes is not None:
        yield from _reliable(table.reliability, len(_vital(table.probes)))


def vain(table: HealthTable, written: Collection[str], wrong: Collection[str]) -> Iterator[Wrong]:
    """What is written here, is right, and comes to nothing: for a warning."""
    if "reliability" in written and "probes" not in wrong and table.probes is None and table.reliability > 1:
        yield Wrong("health.reliability", None, "comes to nothing: it counts configured probes, and there are none")
    if "probes" in written and table.probes and not _vital(table.probes):
        yield Wrong(
            "health.probes",
            None,
            "none of them tells whether the tunnel is alive: large echo requests are only compared with other probes",
        )
    if "failure_latency" in written and "timeout" not in wrong and table.failure_latency is not None:
        longest = durations.render(table.timeout)
        if table.failure_latency >= table.timeout:
            yield Wrong(
                "health.failure_latency",
                None,
                f'comes to nothing: an answer that takes longer than timeout = "{longest}" is a failed probe',
            )


def impossible(table: HealthTable, written: Collection[str], icmp_possible: Callable[[], bool]) -> Iterator[Wrong]:
    """Probes written here that this process may not send; `icmp_possible` is asked only if there are such."""
    probes = [probe for probe in table.probes or () if probe.kind is ProbeKind.ICMP] if "probes" in written else []
    if probes and not icmp_possible():
        for probe in probes:
            yield Wrong("health.probes", shown(probe.label), icmp.HOW)


def _ordered(table: HealthTable, order: _Order, written: Collection[str]) -> Iterator[Wrong]:
    less, more = getattr(table, order.less), getattr(table, order.more)
    if less is None or more is None or less < more or (order.equal and less == more):
        return
    if order.less in written:
        key, found, bound, other = order.less, less, "at most" if order.equal else "below", (order.more, more)
    else:
        key, found, bound, other = order.more, more, "at least" if order.equal else "above", (order.less, less)
    limit = f'{other[0]} = "{order.render(other[1])}"'
    yield Wrong(f"health.{key}", shown(order.render(found)), f"must be {bound} {limit}: {order.why}")


def _repeated(probes: Sequence[ProbeSpec]) -> Iterator[Wrong]:
    first: dict[ProbeSpec, str] = {}
    for probe in probes:
        question = replace(probe, label="")
        before = first.get(question)
        if before is None:
            first[question] = probe.label
        else:
            same = "is listed twice" if before == probe.label else f"asks the same as {shown(before)}"
            yield Wrong("health.probes", shown(probe.label), same)


def _vital(probes: Sequence[ProbeSpec]) -> list[ProbeSpec]:
    """Those that speak for the tunnel's life."""
    return [probe for probe in probes if probe.kind is not ProbeKind.ICMP or probe.size < _LARGE]


def _reliable(reliability: int, probes: int) -> Iterator[Wrong]:
    if reliability > max(probes, 1):
        there = f"only {probes} can be counted" if probes else "none can be counted"
        yield Wrong("health.reliability", str(reliability), f"so many probes must pass, and {there}")
