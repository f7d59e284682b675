"""Which listen addresses cannot be bound beside one another. Pure, one look-up per address however many there are.

On one port a bare port (every address, IPv4 and IPv6) meets everything; `0.0.0.0` meets every IPv4 address, `::`
every IPv6 one (it is IPv6 only, so the two do not meet); any other address meets itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, TypeVar

from gateway.model import ListenAddress

Owner = TypeVar("Owner", bound=Hashable)

_ANY_V4 = "0.0.0.0"  # noqa: S104 - compared with, not bound
_ANY_V6 = "::"


class Overlap(NamedTuple, Generic[Owner]):
    """`address` of `owner` cannot be bound beside `other_address` of `other`, which came before it."""

    owner: Owner
    address: ListenAddress
    other: Owner
    other_address: ListenAddress


def overlaps(listeners: Iterable[tuple[Owner, ListenAddress]]) -> list[Overlap[Owner]]:
    """Each owner with those before it that are in its way: one overlap per pair, in the order given."""
    found: dict[tuple[Owner, Owner], Overlap[Owner]] = {}
    # What is taken: ("on", host) by that very address, ("in", family) by any address of the family, per port.
    taken: dict[tuple[str, str, int], tuple[Owner, ListenAddress]] = {}
    for owner, address in listeners:
        for rival in filter(None, (taken.get((*scope, address.port)) for scope in _meets(address.host))):
            found.setdefault((owner, rival[0]), Overlap(owner, address, *rival))
        for scope in _takes(address.host):
            taken.setdefault((*scope, address.port), (owner, address))
    return list(found.values())


def _meets(host: str | None) -> tuple[tuple[str, str], ...]:
    """The scopes in which something before would be in the way."""
    if host is None:
        return (("in", _ANY_V4), ("in", _ANY_V6))
    if host in {_ANY_V4, _ANY_V6}:
        return (("in", host),)
    return (("on", host), ("on", _family(host)))


def _takes(host: str | None) -> tuple[tuple[str, str], ...]:
    """The scopes that are taken from now on."""
    if host is None:
        return (("on", _ANY_V4), ("on", _ANY_V6), ("in", _ANY_V4), ("in", _ANY_V6))
    return (("on", host), ("in", _family(host)))


def _family(host: str) -> str:
    return _ANY_V6 if ":" in host else _ANY_V4
