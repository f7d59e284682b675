"""OpenVPN's management interface as lines (doc/management-notes.txt of OpenVPN 2.6). Pure.

Of all that the process says there, six things matter; the rest (answers to our orders, banners) is `None`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from gateway.model import IPAddress
from gateway.tunnels.openvpn.configuration import quoted

_NEED: Final = re.compile(r"Need '(?P<what>[^']*)' (?P<kind>username/password|password)(?P<more>.*)")
_FAILED: Final = re.compile(r"Verification Failed: '(?P<what>[^']*)'(?: \['(?P<why>.*)'\])?")
_SIZED: Final = re.compile(r"\d+,[A-Z]*,OPTIONS IMPORT: tun-mtu set to (?P<mtu>\d{1,5})")
_STATE_FIELDS: Final = 9
_LOGIN: Final = "Auth"
_KEY: Final = "Private Key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """It waits for `hold release`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where it stands: `name` is OpenVPN's ("CONNECTED", "EXITING"…), `detail` what it says of it."""

    name: str
    detail: str
    addresses: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Bytes so far."""

    transmitted: int
    received: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """It asks for credentials: `what` is "Auth" for account and password, or "Private Key". `challenge`: for more."""

    what: str
    challenge: bool

    @property
    def is_login(self) -> bool:
        """Whether account and password are the answer."""
        return self.what == _LOGIN and not self.challenge

    @property
    def is_key(self) -> bool:
        """Whether the passphrase of a private key is the answer."""
        return self.what == _KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The server has refused the credentials."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """The server has pushed an MTU, and it was taken."""

    mtu: int


Message = Held | Standing | Counts | Asked | Refused | Sized


def message(line: str) -> Message | None:
    """What a line is about; None for what does not matter."""
    kind, _, rest = line.partition(":")
    match kind:
        case ">HOLD":
            return Held()
        case ">STATE":
            return _standing(rest)
        case ">BYTECOUNT":
            received, _, transmitted = rest.partition(",")
            return Counts(transmitted=int(transmitted), received=int(received))
        case ">PASSWORD":
            return _password(rest)
        case ">LOG":
            sized = _SIZED.fullmatch(rest)
            return None if sized is None else Sized(mtu=int(sized["mtu"]))
        case _:
            return None


def _standing(rest: str) -> Standing:
    """time, state, detail, own IPv4, remote address, remote port, local address, local port, own IPv6."""
    fields = [*rest.split(","), *([""] * _STATE_FIELDS)][:_STATE_FIELDS]
    addresses = tuple(ip_address(each) for each in (fields[3], fields[8]) if each)
    return Standing(name=fields[1], detail=fields[2], addresses=addresses)


def _password(rest: str) -> Message | None:
    if (need := _NEED.match(rest)) is not None:
        return Asked(what=need["what"], challenge=" SC:" in need["more"])
    if (failed := _FAILED.match(rest)) is not None:
        return Refused(why=failed["why"] or "")
    return None


# ---------------------------------------------------------------- orders

BEGIN: Final = ("state on", "log on", "bytecount 1", "hold release")
"""What is ordered while it is held: afterwards it goes on. The log comes here, too, for what has to be known before the
next state: its output may be late."""


def login(username: str, password: str) -> tuple[str, str]:
    """The answer to a question for account and password."""
    return f"username {quoted(_LOGIN)} {quoted(username)}", f"password {quoted(_LOGIN)} {quoted(password)}"
