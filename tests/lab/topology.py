"""The network of a lab: six namespaces, and cables between them. Nothing is made in the machine's own namespace.

              cloud (gateway, VPN clients)   wan (switches)            site-a, -b, -c (VPN servers)   corp
    wan-a  10.91.1.1/24 ---- c-a [br-a] s-a ---- wan0 10.91.1.2 (site-a) lan0 .11 --+-- br0 192.168.100.30, .31
    wan-b  10.91.2.1/24 ---- c-b [br-b] s-b ---- wan0 10.91.2.2 (site-b) lan0 .12 --+
    wan-c  10.91.3.1/24 ---- c-c [br-c] s-c ---- wan0 10.91.3.2 (site-c) lan0 .13 --+
    uplink 10.91.9.1/24 ---- c-u [br-u] 10.91.9.2

There is no NAT: a company server answers with the address it saw, which proves the tunnel used. The switches let the
far side of a cable die without loss of carrier near by. `uplink` carries the cloud's default route, as the container
platform's network would: whatever leaves there for the company's network has leaked.

The two ends of a cable have different kernel indices, on purpose. Where they are equal by chance the kernel takes
a change of carrier for one that is not urgent, and tells of it up to a second late.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tests.lab.names import Role
from tests.lab.netns import Namespace

CORP_NETWORK = "192.168.100.0/24"
CORP_ADDRESS = "192.168.100.30"
CORP_SECOND_ADDRESS = "192.168.100.31"
UPLINK = "uplink"
UPLINK_NEAR = "10.91.9.1"
UPLINK_FAR = "10.91.9.2"


class Site(StrEnum):
    """A place of the company with a VPN server of its own. All addresses follow from its number."""

    A = "a"
    B = "b"
    C = "c"

    @property
    def number(self) -> int:
        return 1 + list(Site).index(self)

    @property
    def role(self) -> Role:
        return Role(f"site-{self}")

    @property
    def link(self) -> str:
        """The physical device in the cloud that leads here."""
        return f"wan-{self}"

    @property
    def near(self) -> str:
        """The cloud's address on that link."""
        return f"10.91.{self.number}.1"

    @property
    def far(self) -> str:
        """The VPN server's address on that link."""
        return f"10.91.{self.number}.2"

    @property
    def port_near(self) -> str:
        """The switch's port towards the cloud."""
        return f"c-{self}"

    @property
    def port_far(self) -> str:
        """The switch's port towards the VPN server."""
        return f"s-{self}"

    @property
    def lan(self) -> str:
        """The VPN server's address in the company's network."""
        return f"192.168.100.1{self.number}"

    @property
    def inner(self) -> str:
        """All addresses that VPN clients of this site can get; a kind of VPN takes one /24 out of it."""
        return f"10.7{self.number}.0.0/16"

    def pool(self, kind: int) -> str:
        """The first three bytes of the addresses given out by the kind of VPN numbered `kind`."""
        return f"10.7{self.number}.{kind}"


PAIR = (Site.A, Site.B)  # where a lab with one kind of VPN has it
PHYSICAL_LINKS = (*(site.link for site in Site), UPLINK)


def build(spaces: Mapping[Role, Namespace]) -> None:
    """Lay the cables between namespaces that have just been made."""
    for space in spaces.values():
        # Fixed, so that the machine's own defaults cannot change what is seen here.
        space.sysctl("ipv4/conf/all/rp_filter", 0)
        space.sysctl("ipv4/conf/default/rp_filter", 0)
        space.sysctl("core/somaxconn", 65535)
        # Or the round trips of one test's outage would make the next one's sessions slow to send again.
        space.sysctl("ipv4/tcp_no_metrics_save", 1)
        # Where tests have gateways listen: no outgoing connection is to get such a port.
        space.sysctl("ipv4/ip_local_reserved_ports", "33000-33999")
    _corp(spaces[Role.CORP])
    for site in Site:
        _wan(site, spaces)
        _lan(site, spaces)
    _uplink(spaces)


def _corp(corp: Namespace) -> None:
    corp.ip(
        "link add br0 type bridge",
        f"addr add {CORP_ADDRESS}/24 dev br0",
        f"addr add {CORP_SECOND_ADDRESS}/24 dev br0",
        "link set br0 up",
    )


def _wan(site: Site, spaces: Mapping[Role, Namespace]) -> None:
    cloud, wan, place = spaces[Role.CLOUD], spaces[Role.WAN], spaces[site.role]
    cloud.ip(_cable(site.link, 100 + site.number, site.port_near, wan))
    place.ip(
        _cable("wan0", 110 + site.number, site.port_far, wan),
        f"addr add {site.far}/24 dev wan0",
        "link set wan0 up",
    )
    wan.ip(
        f"link add br-{site} type bridge",
        f"link set {site.port_near} master br-{site} up",
        f"link set {site.port_far} master br-{site} up",
        f"link set br-{site} up",
    )
    cloud.ip(f"addr add {site.near}/24 dev {site.link}", f"link set {site.link} up")
    for space, device in ((cloud, site.link), (place, "wan0")):
        # A neighbour asked for in vain is asked again after a second by default: a healed cable would seem slow.
        space.sysctl(f"ipv4/neigh/{device}/retrans_time_ms", 50)


def _lan(site: Site, spaces: Mapping[Role, Namespace]) -> None:
    place, corp = spaces[site.role], spaces[Role.CORP]
    place.ip(
        _cable("lan0", 120 + site.number, f"p-{site}", corp),
        f"addr add {site.lan}/24 dev lan0",
        "link set lan0 up",
    )
    place.sysctl("ipv4/ip_forward", 1)
    corp.ip(f"link set p-{site} master br0 up", f"route add {site.inner} via {site.lan}")


def _uplink(spaces: Mapping[Role, Namespace]) -> None:
    cloud, wan = spaces[Role.CLOUD], spaces[Role.WAN]
    cloud.ip(_cable(UPLINK, 130, "c-u", wan), f"addr add {UPLINK_NEAR}/24 dev {UPLINK}")
    wan.ip(
        "link add br-u type bridge",
        "link set c-u master br-u up",
        f"addr add {UPLINK_FAR}/24 dev br-u",
        "link set br-u up",
    )
    cloud.ip(f"link set {UPLINK} up", f"route add default via {UPLINK_FAR} dev {UPLINK}")


def _cable(device: str, index: int, far_device: str, far: Namespace) -> str:
    """A pair of devices, the far one in another namespace; `index` and `index + 100` are theirs."""
    return f"link add {device} index {index} type veth peer name {far_device} index {index + 100} netns {far.name}"
