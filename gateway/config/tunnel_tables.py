"""The `[[tunnel]]` tables as pydantic models, one per kind, told apart by `kind`; and `[defaults.tunnel]`.

The managed kinds mirror a VPN settings form. What combinations of their keys make sense is in `managed.py`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from gateway.config.fields import (
    AddressField,
    AlgorithmField,
    BinaryField,
    DeviceField,
    Duration,
    LineField,
    NameServerField,
    NetworkField,
    OptionField,
    OwnAddressField,
    PathField,
    Percent,
    ProbeField,
    PublicKeyField,
    SecretField,
    ServerField,
    TextField,
    duration,
)
from gateway.config.tables import NAME_FIELD, Table
from gateway.model import HealthSettings, TunnelKind, TunnelSpec

_HEALTH: Final = HealthSettings()
_TUNNEL: Final = TunnelSpec(name="", kind=TunnelKind.INTERFACE, interface="")

MSS_LEAST: Final = 536  # what every IPv4 host takes; the kernel would go down to 88
MSS_MOST: Final = 65_495
MTU_LEAST: Final = 576
MTU_MOST: Final = 65_535
WEIGHT_MOST: Final = 256

ROUTES: Final = "managed: the gateway keeps the tunnel's routes and rules; none: whoever brings the tunnel up does."
ACCEPT_DNS: Final = "Take the name servers that a profile lists for dns. What a server pushes is never taken."


class HealthTable(Table):
    """How evidence about the tunnel is weighed."""

    interval: Annotated[float, Duration(least=0.05)] = duration(
        _HEALTH.interval, "Start of one probe to the start of the next."
    )
    timeout: Annotated[float, Duration(least=0.01)] = duration(
        _HEALTH.timeout, "A probe unanswered for so long has failed. Below down_after."
    )
    rise: int = Field(default=_HEALTH.rise, ge=1, le=100, description="Good probes in a row that make it UP again.")
    fall: int = Field(default=_HEALTH.fall, ge=1, le=100, description="Failed probes that it takes to make it DOWN.")
    suspect_after: Annotated[float, Duration(least=0.01)] = duration(
        _HEALTH.suspect_after, "A probe unanswered for so long makes the tunnel suspect: it is probed fast."
    )
    fast_interval: Annotated[float, Duration(least=0.01)] = duration(
        _HEALTH.fast_interval, "Start of one probe to the start of the next while the tunnel is suspect."
    )
    down_after: Annotated[float, Duration(least=0.1)] = duration(
        _HEALTH.down_after, "No sign of life for so long, and fall failed probes, make it DOWN."
    )
    stall_after: Annotated[float, Duration(least=1)] = duration(
        _HEALTH.stall_after, "Packets go out and none come in for so long: a stall."
    )
    reliability: int = Field(
        default=_HEALTH.reliability, ge=1, description="How many of several configured probes must pass."
    )
    failure_latency: Annotated[float, Duration()] | None = Field(
        default=None, description="Answers slower than this make the tunnel suspect, and another one preferred."
    )
    recovery_latency: Annotated[float, Duration()] | None = Field(
        default=None, description="Answers faster than this end that. Left out: 0.8 x failure_latency."
    )
    failure_loss: Annotated[float, Percent(least=0.001)] | None = Field(
        default=None, description="More probes lost than this make the tunnel suspect, and another one preferred."
    )
    recovery_loss: Annotated[float, Percent()] | None = Field(
        default=None, description="Fewer probes lost than this end that. Left out: 0.8 x failure_loss."
    )
    probes: list[ProbeField] | None = Field(
        default=None,
        description="What to ask through the tunnel. Left out: the targets of its forwards; empty: nothing.",
    )


class TunnelCommon(Table):
    """Keys of every kind that may also stand in `[defaults.tunnel]`."""

    mss: int | None = Field(
        default=_TUNNEL.mss, ge=MSS_LEAST, le=MSS_MOST, description="Largest TCP segment through the tunnel, bytes."
    )
    failback_delay: Annotated[float, Duration(least=0)] = duration(
        _TUNNEL.failback_delay, "The hold-down: a tunnel that came back stays unused so long while another is UP."
    )
    weight: int = Field(
        default=_TUNNEL.weight, ge=1, le=WEIGHT_MOST, description="Its share of a balanced forward's sessions."
    )
    slow_start: Annotated[float, Duration(least=0)] = duration(
        _TUNNEL.slow_start, "Time in which the share of a tunnel that came back grows to the whole."
    )
    dns: list[NameServerField] = Field(
        default_factory=list,
        description="Name servers asked through the tunnel, and nobody else. Left out: the system's resolver.",
    )
    health: HealthTable = Field(default=HealthTable(), description="How evidence about the tunnel is weighed.")


class ManagedKeys(TunnelCommon):
    """Keys of the kinds that a VPN client of ours brings up."""

    autoconnect: bool = Field(
        default=_TUNNEL.autoconnect, description="Connect at start. False waits for `gateway connect`."
    )
    reconnect_after: Annotated[float, Duration(least=1)] = duration(
        _TUNNEL.reconnect_after,
        "DOWN for so long while its client says it is connected: it connects anew, to the next server.",
    )
    routes: Literal["managed", "none"] = Field(default="managed", description=ROUTES)
    mtu: int | None = Field(default=None, ge=MTU_LEAST, le=MTU_MOST, description="MTU of the tunnel's device, bytes.")


class VpnKeys(ManagedKeys):
    """Keys of the kinds that log in to a server."""

    username: LineField | None = Field(default=None, description="Account name.")
    password: SecretField | None = Field(default=None, description="Its password.")
    ca: TextField | None = Field(
        default=None, description="Certificate of the authority that signed the server's, PEM."
    )
    certificate: TextField | None = Field(default=None, description="The client's certificate, PEM.")
    key: SecretField | None = Field(default=None, description="The client's private key, PEM, not encrypted.")


class OpenVpnKeys(VpnKeys):
    """Keys of OpenVPN that may also stand in `[defaults.tunnel]`."""

    transport: Literal["udp", "tcp"] = Field(default="udp", description="What carries the tunnel.")
    tls_auth: SecretField | None = Field(default=None, description="The static key of --tls-auth.")
    tls_crypt: SecretField | None = Field(default=None, description="The static key of --tls-crypt.")
    verify_name: LineField | None = Field(default=None, description="Name the server's certificate must have.")
    ciphers: list[AlgorithmField] | None = Field(
        default=None,
        min_length=1,
        description="Data ciphers to offer, best first. Left out: OpenVPN's, and AES-256-CBC.",
    )
    allow_compression: Literal["no", "asym", "yes"] = Field(
        default="asym", description="asym reads compressed packets and sends none: servers that push it work safely."
    )
    options: list[OptionField] | None = Field(
        default=None,
        min_length=1,
        description="Further options of the client, a line each, from a list of harmless ones.",
    )
    accept_dns: bool = Field(default=False, description=ACCEPT_DNS)


class IpsecKeys(VpnKeys):
    """Keys of IKEv2 that may also stand in `[defaults.tunnel]`."""

    auth: Literal["mschapv2", "tls", "pubkey"] = Field(default="mschapv2", description="How the client proves itself.")
    pkcs12: BinaryField | None = Field(default=None, description="Certificate and key in one PKCS#12 file.")
    pkcs12_password: SecretField | None = Field(default=None, description="The password of that file.")
    esp: Literal["auto", "kernel", "userspace"] = Field(default="auto", description="Who encrypts the packets.")
    remote_id: LineField | None = Field(
        default=None, description="Identity the server must show. Left out: the host that is connected to."
    )
    local_id: LineField | None = Field(default=None, description="Identity the client shows.")
    eap_identity: LineField | None = Field(default=None, description="EAP identity, where it is not username.")
    proposals: list[AlgorithmField] | None = Field(
        default=None, min_length=1, description="IKE proposals to offer, best first. Left out: strongSwan's."
    )
    remote_networks: list[NetworkField] | None = Field(
        default=None, min_length=1, description="Networks behind the server. Left out: all that the server grants."
    )


class WireguardKeys(ManagedKeys):
    """Keys of WireGuard that may also stand in `[defaults.tunnel]`."""

    private_key: SecretField | None = Field(default=None, description="The client's private key, base64.")
    peer_public_key: PublicKeyField | None = Field(default=None, description="The server's public key, base64.")
    preshared_key: SecretField | None = Field(default=None, description="A secret shared with the peer, base64.")
    allowed_ips: list[NetworkField] | None = Field(
        default=None, min_length=1, description="Networks behind the peer. Left out: everything."
    )
    keepalive: Annotated[float, Duration(least=0, most=65_535, whole=True)] = duration(
        0, "Time between keepalives to the peer; 0s for none. 25s keeps a NAT's mapping alive."
    )
    accept_dns: bool = Field(default=False, description=ACCEPT_DNS)


class TunnelDefaults(OpenVpnKeys, IpsecKeys, WireguardKeys):
    """What tunnels may leave out. A key is filled in where the tunnel's kind has it."""

    routes: Literal["managed", "none"] | None = Field(default=None, description=ROUTES)  # type: ignore[assignment]


class TunnelEntry(Table):
    """Keys that belong to one tunnel alone."""

    @classmethod
    def misplaced(cls, key: str) -> str | None:
        """A key of other kinds."""
        kinds = [f'"{kind}"' for kind, model in TUNNEL_MODELS.items() if key in model.model_fields]
        return f"is a key of kind = {' or '.join(kinds)}, not of this one" if kinds else None

    name: str = NAME_FIELD
    priority: int | None = Field(
        default=None,
        ge=1,
        description="1 is tried first. Tunnels without one come after those with one, in file order.",
    )
    source_address: AddressField | None = Field(
        default=None, description="Bind upstreams to this address of the tunnel's device. Left out: the kernel chooses."
    )


class InterfaceTunnel(TunnelEntry, TunnelCommon):
    """A tunnel that something else brings up: it shows as a network interface."""

    kind: Literal["interface"] = Field(description="Something else brings the tunnel up.")
    interface: DeviceField = Field(description="Name of the network interface. It need not exist yet.")
    routes: Literal["managed", "none"] = Field(default="none", description=ROUTES)


class ManagedEntry(TunnelEntry):
    """Keys that belong to one tunnel alone, of the kinds that a VPN client of ours brings up."""

    interface: DeviceField | None = Field(
        default=None, description="Name of the device that is made for it. Left out: the tunnel's name."
    )

    @property
    def device(self) -> str:
        """The name of its device."""
        return self.interface or self.name


class OpenVpnTunnel(ManagedEntry, OpenVpnKeys):
    """A tunnel that an OpenVPN client brings up."""

    kind: Literal["openvpn"] = Field(description="An OpenVPN client brings it up.")
    servers: list[ServerField] | None = Field(default=None, min_length=1, description="Servers, tried in order.")
    profile: PathField | None = Field(default=None, description="An .ovpn file, instead of single keys.")


class IpsecTunnel(ManagedEntry, IpsecKeys):
    """A tunnel that an IKEv2 client brings up."""

    kind: Literal["ipsec"] = Field(description="An IKEv2 client brings it up.")
    servers: list[ServerField] = Field(min_length=1, description="Servers, tried in order.")


class WireguardTunnel(ManagedEntry, WireguardKeys):
    """A WireGuard tunnel."""

    kind: Literal["wireguard"] = Field(description="WireGuard: the kernel's, or wireguard-go.")
    servers: list[ServerField] | None = Field(default=None, min_length=1, description="Endpoints of the peer.")
    addresses: list[OwnAddressField] | None = Field(default=None, min_length=1, description="The client's addresses.")
    profile: PathField | None = Field(default=None, description="A wg-quick file, instead of single keys.")


ManagedTunnel = OpenVpnTunnel | IpsecTunnel | WireguardTunnel
AnyTunnel = Annotated[InterfaceTunnel | ManagedTunnel, Field(discriminator="kind")]

TUNNEL_MODELS: Final[dict[TunnelKind, type[InterfaceTunnel | ManagedTunnel]]] = {
    TunnelKind.INTERFACE: InterfaceTunnel,
    TunnelKind.OPENVPN: OpenVpnTunnel,
    TunnelKind.IPSEC: IpsecTunnel,
    TunnelKind.WIREGUARD: WireguardTunnel,
}
