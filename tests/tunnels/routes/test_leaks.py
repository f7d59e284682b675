"""The kernel's own answers to late packets, whose sockets have gone: by the tunnel or not at all."""

from __future__ import annotations

import os
import struct
import subprocess
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from gateway.model import RoutesMode, TunnelKind, TunnelSpec
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.routes.roads import KernelRoads
from tests.control.namespace import Tun, in_namespace, ip

pytestmark = pytest.mark.lab

VIP, TARGET, STRANGER = (ip_address(each) for each in ("10.10.1.2", "192.168.100.30", "203.0.113.9"))
_TCP = 6
_ACK = 0x10
_RST = 0x04


def late_packet(source: IPv4Address) -> bytes:
    """A TCP segment to a port of ours at which nothing listens."""
    pseudo = struct.pack("!4s4sBBH", source.packed, VIP.packed, 0, _TCP, 20)
    tcp = struct.pack("!HHIIBBHHH", 8080, 45678, 1, 1, 5 << 4, _ACK, 1024, 0, 0)
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, _TCP, 0, source.packed, VIP.packed)
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + tcp


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Device(Tun):
    """A tun device; `resets` are the addresses to which the kernel has sent a reset by it."""

    def __init__(self, name: str, *addresses: str) -> None:
        super().__init__(name, *addresses)
        os.set_blocking(self._fd, False)

    def deliver(self, packet: bytes) -> None:
        os.write(self._fd, packet)

    def resets(self) -> list[IPv4Address]:
        found = []
        while True:
            try:
                packet = os.read(self._fd, 2048)
            except BlockingIOError:
                return found
            if packet[0] >> 4 == 4 and packet[9] == _TCP and packet[33] & _RST:
                found.append(IPv4Address(packet[16:20]))


@pytest.mark.parametrize("managed", [True, False])
def test_late_packets_are_answered_by_the_tunnel_or_not_at_all(managed):
    async def scenario():
        let_everything_in()
        main, tunnel = Device("main0", "172.16.0.2/24"), Device("zone-a", f"{VIP}/32")
        ip("route add default dev main0")
        spec = TunnelSpec(
            name="zone-a",
            kind=TunnelKind.OPENVPN,
            interface="zone-a",
            routes=RoutesMode.MANAGED if managed else RoutesMode.NONE,
        )
        netlink = Netlink()
        roads = KernelRoads([spec], netlink)
        roads.aim({"zone-a": frozenset({ip_network(TARGET)})})
        await roads.start()
        await roads.open("zone-a", "zone-a", (VIP,))
        for source in (STRANGER, TARGET):  # each is answered, if at all, before the write returns
            tunnel.deliver(late_packet(source))
        if managed:
            assert (main.resets(), tunnel.resets()) == ([], [TARGET])
        else:
            assert (main.resets(), tunnel.resets()) == ([STRANGER, TARGET], []), "this is what would leak"
        await roads.stop()
        await netlink.close()
        for device in (main, tunnel):
            device.close()

    in_namespace(scenario)


def let_everything_in() -> None:
    """Reverse-path filtering would drop some of the packets before they are answered."""
    for each in ("all", "default"):
        subprocess.run(["sysctl", "-qw", f"net.ipv4.conf.{each}.rp_filter=0"], check=True)
