"""The types of single values, as pydantic knows them: each joins a parser of this room to its JSON Schema.

The parsers are plain functions that know nothing of pydantic; a ValueError of theirs becomes a Problem (problems.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Annotated, Any, Final, NamedTuple

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from gateway.config import durations, networks, percents, probe_urls, wireguard_keys
from gateway.config.endpoints import (
    PORT_MAX,
    Listen,
    Server,
    Target,
    parse_address,
    parse_listen,
    parse_name_server,
    parse_server,
    parse_target,
)
from gateway.config.profiles.options import parse_option
from gateway.config.secrets import FileRef, SecretRef, parse_ref
from gateway.model import Endpoint, IPAddress, IPNetwork, ListenAddress, ProbeKind, ProbeSpec, TunnelDownAction

DAY: Final = 86_400.0
LONGEST: Final = 30 * DAY  # beyond it, a unit was mistaken
KEEPALIVE_LONGEST: Final = 32_767.0  # the kernel's limit for TCP_KEEPIDLE and TCP_KEEPINTVL, seconds
USER_TIMEOUT_LONGEST: Final = 24 * DAY  # the kernel counts it in milliseconds, in 31 bits

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"
NAME_HOW: Final = "a name has letters, digits, _ . and -, 1 to 63 of them, and starts with a letter or digit"


# ---------------------------------------------------------------- durations


@dataclass(frozen=True, slots=True)
class Duration:
    """Marks a float of seconds that is written as a duration between `least` and `most` seconds."""

    least: float = 0.001
    most: float = LONGEST
    whole: bool = False  # in whole seconds only, as the kernel counts it

    def parse(self, value: object) -> float:
        """The seconds. Raises ValueError that says what is allowed."""
        seconds = durations.parse(value)
        if not self.least <= seconds <= self.most:
            raise ValueError(f"must be from {durations.render(self.least)} to {durations.render(self.most)}")
        if self.whole and seconds != int(seconds):
            raise ValueError("must be whole seconds: the kernel counts it so")
        return seconds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": durations.PATTERN, "examples": ["250ms", "1.4s", "1m30s"]}


def duration(default: float, description: str) -> Any:
    """A field for a duration: the default in seconds, shown to editors as it would be written."""
    return Field(default=default, description=description, json_schema_extra={"default": durations.render(default)})


# ---------------------------------------------------------------- shares


@dataclass(frozen=True, slots=True)
class Percent:
    """Marks a ratio (0 to 1) that is written as a percentage of at least `least`."""

    least: float = 0.0

    def parse(self, value: object) -> float:
        """The ratio. Raises ValueError that says what is allowed."""
        ratio = percents.parse(value)
        if ratio < self.least:
            raise ValueError(f"must be at least {percents.render(self.least)}")
        return ratio

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.parse)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": percents.PATTERN, "examples": ["20%", "12.5%"]}


# ---------------------------------------------------------------- endpoints and networks

ListenField = Annotated[
    Listen,
    PlainValidator(parse_listen),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["0.0.0.0:33000", "[::]:33000", 33000, "33000-33009"]}),
]
TargetField = Annotated[
    Target,
    PlainValidator(parse_target),
    WithJsonSchema({"type": "string", "examples": ["192.168.100.30:8080", "db.example.com:5432"]}),
]
NetworkField = Annotated[
    IPNetwork,
    PlainValidator(networks.parse_network),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "2001:db8::/32"]}),
]
NameServerField = Annotated[
    Endpoint,
    PlainValidator(parse_name_server),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.53", "10.0.0.53:5353", "[2001:db8::53]"]}),
]
DeviceField = Annotated[
    str,
    PlainValidator(networks.parse_device),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 15}),
]
ProbeField = Annotated[
    ProbeSpec,
    PlainValidator(probe_urls.parse),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^({'|'.join(ProbeKind)})://",
            "examples": [
                "tcp://192.168.100.30:8080",
                "https://192.168.100.31/health#status=200-299",
                "icmp://10.10.20.1#size=1400",
                "dns://10.0.0.53/db.example.com",
            ],
        }
    ),
]


def _source_address(value: object) -> IPAddress:
    if not isinstance(value, str):
        raise ValueError('must be an IP address in quotes, such as "10.10.20.6"')  # noqa: TRY004 - gathered by pydantic
    return parse_address(value)


AddressField = Annotated[
    IPAddress,
    PlainValidator(_source_address),
    WithJsonSchema({"type": "string", "examples": ["10.10.20.6"]}),
]


def _admin_listen(value: object) -> ListenAddress | None:
    if value is False or value == "off":
        return None
    if value is True:
        raise ValueError('must be an address such as "127.0.0.1:9099", or false for none')
    listen = parse_listen(value)
    if listen.first != listen.last:
        raise ValueError('one port is enough here, such as "127.0.0.1:9099"')
    return ListenAddress(listen.host, listen.first)


AdminListenField = Annotated[
    ListenAddress | None,
    PlainValidator(_admin_listen),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "integer", "minimum": 1, "maximum": PORT_MAX}, {"const": False}],
            "examples": ["127.0.0.1:9099", False],
        }
    ),
]


def _book(value: object) -> str:
    if value is False or value == "off":
        return ""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("must be the path of a directory, or false to keep nothing on disk")
    return value


BookField = Annotated[
    str,
    PlainValidator(_book),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "minLength": 1}, {"const": False}], "examples": ["/var/lib/gateway", False]}
    ),
]


# ---------------------------------------------------------------- what happens on a fallen tunnel


class OnTunnelDown(NamedTuple):
    """`on_tunnel_down` as written: what to do, and the seconds of grace (0 unless the action is GRACE)."""

    action: TunnelDownAction
    grace: float = 0.0


def _on_tunnel_down(value: object) -> OnTunnelDown:
    action, _, rest = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if action == TunnelDownAction.GRACE and rest:
        return OnTunnelDown(TunnelDownAction.GRACE, Duration().parse(rest))
    if action in {TunnelDownAction.ABORT, TunnelDownAction.KEEP} and not rest:
        return OnTunnelDown(TunnelDownAction(action))
    raise ValueError('must be "abort", "keep", or grace with a duration: "grace 10s"')


OnTunnelDownField = Annotated[
    OnTunnelDown,
    PlainValidator(_on_tunnel_down),
    WithJsonSchema({"type": "string", "pattern": r"^(abort|keep|grace \S+)$", "examples": ["abort", "grace 10s"]}),
]


# ---------------------------------------------------------------- VPN servers and addresses

ServerField = Annotated[
    Server,
    PlainValidator(parse_server),
    WithJsonSchema({"type": "string", "examples": ["198.51.100.7", "vpn.example.com:1194"]}),
]


def _own_address(value: object) -> IPv4Interface | IPv6Interface:
    how = 'an address of ours with its prefix, such as "10.10.30.2/32"'
    if not isinstance(value, str):
        raise ValueError(f"must be {how}")  # noqa: TRY004 - gathered by pydantic
    try:
        interface = ip_interface(value)
    except ValueError as error:
        raise ValueError(f"must be {how}") from error
    if "%" in value:
        raise ValueError("an address with a zone (%) is not supported: write it without")
    if "/" not in value:
        raise ValueError(f'needs its prefix: write "{interface}" if it is alone')
    return interface


OwnAddressField = Annotated[
    IPv4Interface | IPv6Interface,
    PlainValidator(_own_address),
    WithJsonSchema({"type": "string", "examples": ["10.10.30.2/32"]}),
]


# ---------------------------------------------------------------- what VPN clients are told


def _line(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")  # noqa: TRY004 - gathered by pydantic
    if not value or not value.isprintable():
        raise ValueError("must be one line of text, not empty")
    return value


LineField = Annotated[str, PlainValidator(_line), WithJsonSchema({"type": "string", "minLength": 1})]


def _words(value: object) -> str:
    if not isinstance(value, str) or _WORD.fullmatch(value) is None:
        raise ValueError(
            'must be names of algorithms, such as "AES-256-GCM" (openvpn) or "aes256-sha256-modp2048" (ipsec)'
        )
    return value


_WORD: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
AlgorithmField = Annotated[
    str, PlainValidator(_words), WithJsonSchema({"type": "string", "pattern": rf"^{_WORD.pattern}$"})
]


def _option(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text in quotes")  # noqa: TRY004 - gathered by pydantic
    return parse_option(value)


OptionField = Annotated[
    str, PlainValidator(_option), WithJsonSchema({"type": "string", "examples": ["mssfix 1300", "tls-version-min 1.2"]})
]


def _public_key(value: object) -> str:
    return wireguard_keys.parse_key(value if isinstance(value, str) else "")


# ---------------------------------------------------------------- secrets and files


@dataclass(frozen=True, slots=True)
class Confidential:
    """Marks a field whose value never appears in a message. `secret`: a literal is warned about as well."""

    secret: bool = True


@dataclass(frozen=True, slots=True)
class NamesFile:
    """Marks a field that holds the path of a file, which must be readable."""


_REFERENCE: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "object", "properties": {key: {"type": "string"}}, "required": [key], "additionalProperties": False}
        for key in ("env", "file")
    ]
    + [{"type": "string"}],
}


def _file_ref(value: object) -> FileRef:
    match value:
        case {"file": str(path), **rest} if path and not rest:
            return FileRef(path)
    raise ValueError('must be { file = "path" }')


SecretField = Annotated[SecretRef, Confidential(), PlainValidator(parse_ref), WithJsonSchema(_REFERENCE)]
# A certificate is no secret, but comes the same ways, and is too long to be shown in a message.
TextField = Annotated[SecretRef, Confidential(secret=False), PlainValidator(parse_ref), WithJsonSchema(_REFERENCE)]
BinaryField = Annotated[
    FileRef, Confidential(), NamesFile(), PlainValidator(_file_ref), WithJsonSchema(_REFERENCE["anyOf"][1])
]
# What stands where a public key should be may be a private one.
PublicKeyField = Annotated[
    str,
    Confidential(secret=False),
    PlainValidator(_public_key),
    WithJsonSchema({"type": "string", "pattern": wireguard_keys.PATTERN}),
]
PathField = Annotated[str, NamesFile(), Field(min_length=1)]
