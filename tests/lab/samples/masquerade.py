"""Address translation at a site, as the samples come with it: the company sees the VPN server, not its clients."""

from __future__ import annotations

from tests.lab.netns import Namespace

IPSEC_MSS = 1360


def translate(space: Namespace, name: str, clients: str, *, mss: int | None = None) -> None:
    """Send what comes from the network `clients` on with the server's own address, until `restore`.

    `mss` is what TCP's maximum segment size is clamped to.
    """
    clamp = f"ip saddr {clients} tcp flags syn tcp option maxseg size set {mss}" if mss else ""
    masquerade = f"ip saddr {clients} oifname lan0 masquerade"
    space.nft(
        f"table ip {name} {{\n"
        f"chain forward {{ type filter hook forward priority mangle; {clamp}\n}}\n"
        f"chain postrouting {{ type nat hook postrouting priority srcnat; {masquerade}\n}}\n"
        "}"
    )


def restore(space: Namespace, name: str) -> None:
    """Undo `translate`; nothing if it was not done."""
    space.nft(f"table ip {name}\ndelete table ip {name}")
