"""Names of things: addresses, and the enums that tunnels, probes and forwards are described with."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Endpoint(NamedTuple):
    """A host (IP address in canonical text, or host name) and a port. A tuple: it is hashed on hot paths."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ListenAddress(NamedTuple):
    """Where a listener is bound. `host=None` (a bare port in the file) is every address, IPv4 and IPv6."""

    host: str | None
    port: int

    def __str__(self) -> str:
        return f"*:{self.port}" if self.host is None else str(Endpoint(self.host, self.port))


class Health(StrEnum):
    """What the evidence says of a tunnel. The transitions are a table in `policy.health`."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class AdminState(StrEnum):
    """What the operator wants of a tunnel; never mixed with health."""

    ENABLED = "enabled"
    DRAINING = "draining"
    DISABLED = "disabled"


class Cause(StrEnum):
    """Why a tunnel, or a (tunnel, target) pair, changed its health."""

    FIRST_GOOD = "first_good"  # UNKNOWN → UP: one success is enough
    RECOVERED = "recovered"  # DOWN → UP after `rise`
    DEVICE_GONE = "device_gone"
    DEVICE_REPLACED = "device_replaced"  # same name, other index: sockets on the old one are dead
    LINK_DOWN = "link_down"  # IFF_UP is off
    CARRIER_LOST = "carrier_lost"  # IFF_LOWER_UP is off
    ADDRESS_GONE = "address_gone"
    NO_ROUTE = "no_route"  # of a (tunnel, target) only
    TARGET_SILENT = "target_silent"  # of a (tunnel, target) only: probes of it fail, others through the tunnel do not
    PROBES = "probes"
    STALL = "stall"
    DRIVER = "driver"
    QUALITY = "quality"  # of failovers only: latency or loss beyond what the operator allows
    DRILL = "drill"  # of sessions and failovers only: health stays what it is while a tunnel is taken out on purpose

    @property
    def hard(self) -> bool:
        """A hard cause is a fact, a soft one (probes, stall) a verdict that may be wrong."""
        return self not in _SOFT


_SOFT = frozenset({Cause.PROBES, Cause.STALL, Cause.TARGET_SILENT, Cause.QUALITY})


class Doubt(StrEnum):
    """Why an UP tunnel is suspect: a mark that has it looked at more closely, not a state of health.

    LATENCY and LOSS come from thresholds that the operator set; only these make selection prefer another tunnel.
    """

    UNANSWERED = "unanswered"  # a probe, or a dial
    UNACKNOWLEDGED = "unacknowledged"  # what live sessions sent
    STALL = "stall"  # packets go out, none come in
    LATENCY = "latency"
    LOSS = "loss"


class ProbeKind(StrEnum):
    """How a probe asks: the scheme of its URL."""

    TCP = "tcp"  # a handshake, reset before the application hears of it
    TLS = "tls"  # a TLS handshake; tells when the certificate expires
    HTTP = "http"
    HTTPS = "https"
    ICMP = "icmp"
    DNS = "dns"


class ProbeOutcome(StrEnum):
    """What came of one probe."""

    PASSED = "passed"
    ANSWERED = "answered"  # not what was asked for, but somebody is there: refused, another status, a bad certificate
    FAILED = "failed"  # nothing came, or a router in between says that nothing can
    LOCAL = "local"  # our own trouble (permission, descriptors, memory, ports): no evidence of anything


class TunnelKind(StrEnum):
    """Which driver brings a tunnel up."""

    INTERFACE = "interface"
    OPENVPN = "openvpn"
    IPSEC = "ipsec"
    WIREGUARD = "wireguard"


class ForwardPolicy(StrEnum):
    """How a forward chooses among its healthy tunnels."""

    FAILOVER = "failover"
    BALANCE = "balance"


class TunnelDownAction(StrEnum):
    """What becomes of a forward's sessions on a tunnel that fell."""

    ABORT = "abort"
    KEEP = "keep"
    GRACE = "grace"


class WhenDown(StrEnum):
    """What a forward's clients meet while none of its tunnels is healthy, and none is held for them."""

    RESET = "reset"  # accepted, and reset
    REFUSE = "refuse"  # nobody listens: ECONNREFUSED


class Failback(StrEnum):
    """How new sessions return to a better tunnel that is UP again."""

    AUTO = "auto"  # after its hold-down
    MANUAL = "manual"  # when the operator says so


class ProxyProtocol(StrEnum):
    """Version of the PROXY protocol header written to the target, if any."""

    NONE = "none"
    V1 = "v1"
    V2 = "v2"


class SessionLog(StrEnum):
    """Which finished sessions get a log line."""

    ALL = "all"
    FAILURES = "failures"  # those that did not end by an orderly end of file
    OFF = "off"


class ReadyWhen(StrEnum):
    """How many forwards must be servable for /readyz to say 200."""

    ANY = "any"
    ALL = "all"
