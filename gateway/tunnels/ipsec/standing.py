"""What charon says of its connections (vici `list-sa`): is the tunnel up, its addresses, what went through it. Pure.

A rekeying replaces one CHILD_SA, or the IKE_SA above it, by another: for a moment there are both, and the bytes of the
old one are not those of the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from gateway.model import IPAddress

Answer = Mapping[str, object]

_CARRYING: Final = frozenset({"INSTALLED", "UPDATING", "REKEYING", "REKEYED"})


@dataclass(frozen=True, slots=True)
class Bytes:
    """Sent into the tunnel, and received from it."""

    transmitted: int = 0
    received: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`exists`: there is some IKE_SA; `carries`: and some CHILD_SA is in place. `addresses` are the virtual IPs.

    `passed`: bytes by CHILD_SA. While an IKE_SA is replaced there may be a moment in which neither has the CHILD_SA.
    """

    exists: bool = False
    carries: bool = False
    addresses: tuple[IPAddress, ...] = ()
    passed: Mapping[str, Bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Meter:
    """Adds up what the CHILD_SAs of one connection carried, also those that are gone."""

    _passed: dict[str, Bytes] = field(default_factory=dict)

    def read(self, standing: Standing) -> Bytes:
        """All bytes so far, given where the connection stands now. They never become fewer.

        A replaced CHILD_SA is there for some seconds more, and has forgotten what it sent.
        """
        for child, now in standing.passed.items():
            before = self._passed.get(child, Bytes())
            self._passed[child] = Bytes(max(before.transmitted, now.transmitted), max(before.received, now.received))
        return Bytes(
            sum(each.transmitted for each in self._passed.values()),
            sum(each.received for each in self._passed.values()),
        )


def read(answers: Iterable[Answer]) -> Standing:
    """Where the connection stands, given all answers to one `list-sas`."""
    exists = carries = False
    addresses: dict[IPAddress, None] = {}
    passed: dict[str, Bytes] = {}
    for ike in (_section(each) for answer in answers for each in answer.values()):
        exists = True
        for address in _list(ike.get("local-vips")):
            addresses[ip_address(address)] = None
        for child in map(_section, _section(ike.get("child-sas")).values()):
            carries = carries or _text(child.get("state")) in _CARRYING
            passed[_text(child.get("uniqueid"))] = Bytes(
                _number(child.get("bytes-out")), _number(child.get("bytes-in"))
            )
    return Standing(exists=exists, carries=carries, addresses=tuple(addresses), passed=passed)


def _section(value: object) -> Answer:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[str]:
    return [_text(each) for each in value] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def _number(value: object) -> int:
    text = _text(value)
    return int(text) if text.isdecimal() else 0
