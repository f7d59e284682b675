"""What the kernel's WireGuard is told and tells over generic netlink: the messages of linux/wireguard.h. Pure.

pyroute2's message class packs and unpacks them; its conversation is not used (`netlink`). The kernel reads the flags
before the key, the key before the peers, and the keepalive last of all, in whatever order they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from socket import AF_INET, AF_INET6
from typing import Any, Final

from pyroute2.netlink.generic.wireguard import (
    WG_CMD_GET_DEVICE,
    WG_CMD_SET_DEVICE,
    WG_GENL_NAME,
    WG_GENL_VERSION,
    WGDEVICE_F_REPLACE_PEERS,
    WGPEER_F_REPLACE_ALLOWEDIPS,
    WGPEER_F_UPDATE_ONLY,
    wgmsg,
)

from gateway.model import IPNetwork
from gateway.tunnels.wireguard.device import Address, Peering, Reading

FAMILY: Final[str] = WG_GENL_NAME
VERSION: Final[int] = WG_GENL_VERSION
GET: Final[int] = WG_CMD_GET_DEVICE
SET: Final[int] = WG_CMD_SET_DEVICE

_NETLINK_HEADER: Final = 16  # struct nlmsghdr, which `netlink` puts in front of what is sent
_NANOSECOND: Final = 1e-9

Attribute = tuple[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the kernel says of a device: its own public key, None while it has none, and its peer."""

    public_key: str | None
    reading: Reading


def begin(device: str, peering: Peering) -> bytes:
    """SET: have this peer and no other."""
    peer: list[Attribute] = [
        ("WGPEER_A_PUBLIC_KEY", peering.public_key),
        ("WGPEER_A_FLAGS", WGPEER_F_REPLACE_ALLOWEDIPS),
        ("WGPEER_A_ENDPOINT", _endpoint(peering.address)),
        ("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", peering.keepalive),
        ("WGPEER_A_ALLOWEDIPS", [_allowed(network) for network in peering.allowed_ips]),
    ]
    if peering.preshared_key is not None:
        peer.append(("WGPEER_A_PRESHARED_KEY", peering.preshared_key.reveal()))
    return _packed(
        SET,
        ("WGDEVICE_A_IFNAME", device),
        ("WGDEVICE_A_PRIVATE_KEY", peering.private_key.reveal()),
        ("WGDEVICE_A_FLAGS", WGDEVICE_F_REPLACE_PEERS),
        ("WGDEVICE_A_PEERS", [{"attrs": peer}]),
    )


def move(device: str, public_key: str, address: Address) -> bytes:
    """SET: the peer is at another address."""
    return _change(device, public_key, ("WGPEER_A_ENDPOINT", _endpoint(address)))


def keep_alive(device: str, public_key: str, seconds: int) -> bytes:
    """SET: say something every so often; 0: never."""
    return _change(device, public_key, ("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL", seconds))


def forget(device: str) -> bytes:
    """SET: have no peer any more."""
    return _packed(SET, ("WGDEVICE_A_IFNAME", device), ("WGDEVICE_A_FLAGS", WGDEVICE_F_REPLACE_PEERS))


def ask(device: str) -> bytes:
    """GET, as a dump."""
    return _packed(GET, ("WGDEVICE_A_IFNAME", device))


def told(answers: Iterable[bytes]) -> Told:
    """What the answers to `ask` say, whole messages: what did not fit into one is continued in the next.

    They hold the private key: what is returned here is all of them that may be kept.
    """
    public_key: str | None = None
    reading = Reading()
    for answer in answers:
        message = wgmsg(answer)
        message.decode()
        key = message.get_attr("WGDEVICE_A_PUBLIC_KEY")
        public_key = public_key if key is None else key.decode()
        for peer in message.get_attr("WGDEVICE_A_PEERS") or ():
            if peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME") is not None:  # a continued one has allowed IPs only
                reading = _reading(peer)
    return Told(public_key=public_key, reading=reading)


def _change(device: str, public_key: str, what: Attribute) -> bytes:
    peer = [("WGPEER_A_PUBLIC_KEY", public_key), ("WGPEER_A_FLAGS", WGPEER_F_UPDATE_ONLY), what]
    return _packed(SET, ("WGDEVICE_A_IFNAME", device), ("WGDEVICE_A_PEERS", [{"attrs": peer}]))


def _packed(command: int, *attributes: Attribute) -> bytes:
    message = wgmsg()
    message["cmd"] = command
    message["version"] = VERSION
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data[_NETLINK_HEADER:])


def _endpoint(address: Address) -> dict[str, object]:
    return {"addr": str(address.ip), "port": address.port}


def _allowed(network: IPNetwork) -> dict[str, Sequence[Attribute]]:
    return {
        "attrs": (
            ("WGALLOWEDIP_A_FAMILY", AF_INET if network.version == 4 else AF_INET6),  # noqa: PLR2004
            ("WGALLOWEDIP_A_IPADDR", network.network_address.packed),
            ("WGALLOWEDIP_A_CIDR_MASK", network.prefixlen),
        )
    }


def _reading(peer: Any) -> Reading:
    handshake = peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")
    return Reading(
        handshake=handshake["tv_sec"] + handshake["tv_nsec"] * _NANOSECOND,
        transmitted=peer.get_attr("WGPEER_A_TX_BYTES"),
        received=peer.get_attr("WGPEER_A_RX_BYTES"),
    )
