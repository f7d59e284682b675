"""VPN clients: what a managed tunnel is configured with, and what its driver says of it.

Certificates are PEM text. Secrets are `Secret`, and leave it only towards the program that they are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.model.names import Endpoint, IPAddress, IPNetwork
from gateway.model.secret import Secret

# ---------------------------------------------------------------- settings


class Transport(StrEnum):
    """What carries an OpenVPN tunnel."""

    UDP = "udp"
    TCP = "tcp"


class Compression(StrEnum):
    """OpenVPN's --allow-compression."""

    NO = "no"
    ASYM = "asym"  # reads compressed packets and sends none
    YES = "yes"


class IpsecAuth(StrEnum):
    """How an IKEv2 client proves itself."""

    MSCHAPV2 = "mschapv2"  # EAP, account and password
    TLS = "tls"  # EAP-TLS, certificate and key
    PUBKEY = "pubkey"  # without EAP, certificate and key


class Esp(StrEnum):
    """Who encrypts an IPsec tunnel's packets."""

    AUTO = "auto"  # the kernel where it can, else user space
    KERNEL = "kernel"
    USERSPACE = "userspace"


class RoutesMode(StrEnum):
    """Whether the gateway owns the tunnel's routes and rules."""

    MANAGED = "managed"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVpnSpec:
    """`kind = "openvpn"`. With `profile` (the text of an .ovpn file) the keys that it replaces are empty.

    `options` are further client options, allow-listed, as they stand in an .ovpn file, a line each.
    """

    servers: tuple[Endpoint, ...] = ()
    transport: Transport = Transport.UDP
    username: str | None = None
    password: Secret | None = None
    ca: str | None = None
    certificate: str | None = None
    key: Secret | None = None
    tls_auth: Secret | None = None
    tls_crypt: Secret | None = None
    verify_name: str | None = None
    ciphers: tuple[str, ...] = ()
    allow_compression: Compression = Compression.ASYM
    options: tuple[str, ...] = ()
    profile: Secret | None = None
    mtu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IpsecSpec:
    """`kind = "ipsec"`, IKEv2. `pkcs12` is the file's content, base64; `proposals` empty: strongSwan's default.

    `remote_networks` empty: all of IPv4 is asked for, and the server narrows it to what it grants.
    """

    servers: tuple[Endpoint, ...] = ()
    auth: IpsecAuth = IpsecAuth.MSCHAPV2
    username: str | None = None
    password: Secret | None = None
    ca: str | None = None
    certificate: str | None = None
    key: Secret | None = None
    pkcs12: Secret | None = None
    pkcs12_password: Secret | None = None
    esp: Esp = Esp.AUTO
    remote_id: str | None = None
    local_id: str | None = None
    eap_identity: str | None = None
    proposals: tuple[str, ...] = ()
    remote_networks: tuple[IPNetwork, ...] = ()
    mtu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WireguardSpec:
    """`kind = "wireguard"`; a wg-quick file has been taken apart into the same. `keepalive` in seconds, 0 for none."""

    servers: tuple[Endpoint, ...] = ()
    private_key: Secret | None = None
    peer_public_key: str = ""
    preshared_key: Secret | None = None
    addresses: tuple[str, ...] = ()  # with prefix length: "10.10.30.2/24"
    allowed_ips: tuple[IPNetwork, ...] = ()
    keepalive: int = 0
    mtu: int | None = None


VpnSpec = OpenVpnSpec | IpsecSpec | WireguardSpec


# ---------------------------------------------------------------- what a driver says


class DriverState(StrEnum):
    """Where a VPN client stands. Not health: that comes from evidence, of which this is one kind."""

    STOPPED = "stopped"  # nobody wants it connected
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"  # it was connected, or an attempt failed and the next one is due
    AUTH_FAILED = "auth_failed"  # the server refused the account: slow retries, for accounts get locked


class FailureReason(StrEnum):
    """Why an attempt to connect failed, or a connection ended, as an operator understands it."""

    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a word for it, not one
    NO_COMMON_METHOD = "no_common_method"  # the server offers no way to log in that we have
    CERTIFICATE_NOT_TRUSTED = "certificate_not_trusted"
    CERTIFICATE_EXPIRED = "certificate_expired"
    NAME_MISMATCH = "name_mismatch"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    NO_PROPOSAL = "no_proposal"
    NOT_PERMITTED = "not_permitted"  # the detail names the capability or device that is missing
    PROGRAM_MISSING = "program_missing"
    CONFIGURATION = "configuration"  # the client refuses what it was told
    CLIENT_DIED = "client_died"
    SERVER_ENDED = "server_ended"
    CANCELLED = "cancelled"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What went wrong: `detail` says it in words, with subject and issuer, name, capability, whatever helps."""

    reason: FailureReason
    detail: str
    server: Endpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverStatus:
    """A VPN client as its driver sees it. Moments are monotonic; `failure` is the last one, until it connects again.

    `retry_at`: when the next attempt is due. `transmitted` and `received` are bytes of the present connection.
    """

    tunnel: str
    state: DriverState
    since: float
    server: Endpoint | None = None
    addresses: tuple[IPAddress, ...] = ()
    attempts: int = 0  # since it was last connected
    retry_at: float | None = None
    failure: Failure | None = None
    transmitted: int = 0
    received: int = 0


class LineLevel(StrEnum):
    """How serious a line of a VPN client is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class VpnLine:
    """One line that a VPN client said, secrets scrubbed."""

    at_unix: float
    tunnel: str
    level: LineLevel
    component: str  # "openvpn", "ike", "wireguard", "gateway"…
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When a configured certificate ends. `certificate`: "ca" or "client"."""

    tunnel: str
    certificate: str
    subject: str
    expires_at_unix: float
