"""A wg-quick file taken apart: `[Interface]` is our end, `[Peer]` the server. Pure.

What wg-quick does beyond WireGuard (routes, commands, the name servers of the whole machine) is refused or left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface, ip_network
from typing import Any, Final, NamedTuple

from gateway.config.endpoints import is_name, parse_address, parse_server
from gateway.config.profiles.remarks import Remarks
from gateway.config.wireguard_keys import parse_key
from gateway.config.wording import suggestion
from gateway.model import Endpoint, IPAddress, IPNetwork, Secret

PORT: Final = 51820
KEEPALIVE_MOST: Final = 65_535  # seconds: the kernel keeps it in 16 bits
MTU_LEAST: Final = 576
MTU_MOST: Final = 65_535

_KEY_MAX: Final = 20  # characters: a little more than any key has
_RUNS: Final = "refused: it runs a program"
_OURS: Final = "refused: routes are the gateway's (the key routes of the tunnel)"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireguardProfile:
    """What a wg-quick file comes to; what it does not say is None or empty. `keepalive` in seconds."""

    private_key: Secret | None = None
    mtu: int | None = None
    addresses: tuple[str, ...] = ()
    dns: tuple[IPAddress, ...] = ()
    peer_public_key: str | None = None
    preshared_key: Secret | None = None
    servers: tuple[Endpoint, ...] = ()
    allowed_ips: tuple[IPNetwork, ...] = ()
    keepalive: int | None = None


class _Line(NamedTuple):
    number: int
    key: str
    value: str


def read(text: str, remarks: Remarks, given: Collection[str] = ()) -> WireguardProfile:
    """Judge a profile. What is wrong with it goes to `remarks`; what is right is in the result all the same.

    `given`: what stands beside the profile (`servers`, `private_key`), and so need not be in it.
    """
    said: dict[str, list[Any]] = defaultdict(list)
    for section, line in _lines(text, remarks):
        known = _SECTIONS[section]
        key = known.spelt.get(line.key.lower())
        if key is None:
            # what is no word may be a key that lost its name
            shown = line.key if line.key.isidentifier() and len(line.key) <= _KEY_MAX else "this line"
            remarks.problem(
                line.number,
                shown,
                f"refused: it is not known here: {suggestion(line.key, list(known.spelt.values()))}",
            )
        elif key in known.refused:
            remarks.problem(line.number, key, known.refused[key])
        elif key in known.left_out:
            remarks.warning(line.number, key, known.left_out[key])
        else:
            name, parse = known.parsers[key]
            try:
                said[name].append(parse(line.value))
            except ValueError as error:
                remarks.problem(line.number, key, str(error))
    for name, spelt in _NEEDED.items():
        if not said[name] and name not in given:
            remarks.problem(None, spelt, f"needed{_OR_BESIDE.get(name, '')}")
    return WireguardProfile(**{name: _whole(name, values) for name, values in said.items() if values})


def _whole(name: str, values: list[Any]) -> Any:
    """Lists go on where they are repeated; of anything else the last one counts, as with wg-quick."""
    return tuple(dict.fromkeys(item for value in values for item in value)) if name in _LISTS else values[-1]


def _lines(text: str, remarks: Remarks) -> Iterator[tuple[str, _Line]]:
    """The lines that say something, with their section in lower case; of peers, those of the first."""
    section: str | None = None
    peers = 0
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        line = raw.partition("#")[0].strip()
        key, equals, value = (part.strip() for part in line.partition("="))
        if line.lower() in {"[interface]", "[peer]"}:
            section = line[1:-1].lower()
            peers += section == "peer"
            if peers > 1 and section == "peer":
                remarks.problem(number, "[Peer]", "a tunnel has one peer: another needs a [[tunnel]] of its own")
        elif line and (section is None or not equals):
            remarks.problem(number, "this line", "must be [Interface], [Peer], or Key = value below one of them")
        elif line and section is not None and (section != "peer" or peers == 1):
            yield section, _Line(number, key, value)


# ---------------------------------------------------------------- values


def _secret(value: str) -> Secret:
    return Secret(parse_key(value))


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _addresses(value: str) -> list[str]:
    try:
        return [str(ip_interface(item)) for item in _items(value)]
    except ValueError:
        raise ValueError("must be addresses of ours with their prefixes, such as 10.10.30.2/32") from None


def _networks(value: str) -> list[IPNetwork]:
    try:
        return [ip_network(item, strict=False) for item in _items(value)]  # WireGuard cuts bits off as well
    except ValueError:
        raise ValueError("must be networks, such as 10.0.0.0/8") from None


def _name_servers(value: str) -> list[IPAddress]:
    """The addresses; names among them are domains to search, and nobody searches here."""
    return [parse_address(item) for item in _items(value) if not is_name(item)]


def _endpoint(value: str) -> tuple[Endpoint, ...]:
    host, port = parse_server(value)
    return (Endpoint(host, PORT if port is None else port),)


def _number(value: str, least: int, most: int) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(most)) and least <= int(value) <= most):
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(value)


def _mtu(value: str) -> int:
    return _number(value, MTU_LEAST, MTU_MOST)


def _keepalive(value: str) -> int:
    return 0 if value.lower() == "off" else _number(value, 0, KEEPALIVE_MOST)


# ---------------------------------------------------------------- keys


class _Section(NamedTuple):
    """The keys of one section: read (into which field, by what), left out with a warning, or refused."""

    parsers: Mapping[str, tuple[str, Callable[[str], Any]]]
    left_out: Mapping[str, str]
    refused: Mapping[str, str]

    @property
    def spelt(self) -> Mapping[str, str]:
        """All keys as they are usually written, by what they are in lower case."""
        return {key.lower(): key for key in (*self.parsers, *self.left_out, *self.refused)}


_SECTIONS: Final = {
    "interface": _Section(
        {
            "PrivateKey": ("private_key", _secret),
            "Address": ("addresses", _addresses),
            "MTU": ("mtu", _mtu),
            "DNS": ("dns", _name_servers),
        },
        {
            "ListenPort": "left out: the client's own port is any that is free",
            "FwMark": "left out: the gateway's rules need no mark",
        },
        {
            **dict.fromkeys(("PreUp", "PostUp", "PreDown", "PostDown"), _RUNS),
            "Table": _OURS,
            "SaveConfig": "refused: the file is read, and never written",
        },
    ),
    "peer": _Section(
        {
            "PublicKey": ("peer_public_key", parse_key),
            "PresharedKey": ("preshared_key", _secret),
            "Endpoint": ("servers", _endpoint),
            "AllowedIPs": ("allowed_ips", _networks),
            "PersistentKeepalive": ("keepalive", _keepalive),
        },
        {},
        {},
    ),
}
_LISTS: Final = frozenset({"addresses", "dns", "allowed_ips"})
_NEEDED: Final = {
    "private_key": "PrivateKey",
    "addresses": "Address",
    "peer_public_key": "PublicKey",
    "servers": "Endpoint",
}
_OR_BESIDE: Final = {
    "private_key": ", or else the key private_key of the tunnel",
    "servers": ", or else the key servers of the tunnel",
}
