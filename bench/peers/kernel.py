"""No proxy: the client connects to the target; and the kernel's NAT, the physical limit of relaying packets.

Neither has a process, so only the machine's busy time says what they cost.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence

from bench.peers.base import Job, Peer
from bench.places import PlaceName


def _version() -> str:
    return f"Linux {platform.release()}"


def _rules(job: Job) -> Sequence[Sequence[str]]:
    rules = f"""\
table ip bench {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        ip daddr {job.place.listen} tcp dport {job.listen_port} dnat to {job.target}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        oifname "{job.place.devices[0]}" masquerade
    }}
}}
"""
    return [["nft", "-f", job.write("rules.nft", rules)]]


DIRECT = Peer(
    name="direct",
    what="no proxy: the client connects to the target",
    version=_version,
    bypass=True,
    without=frozenset({"failover", "memory"}),
)
NAT = Peer(
    name="kernel-nat",
    what="the kernel's NAT (nftables)",
    version=_version,
    arrange=_rules,
    without=frozenset({"failover", "memory"}),
    places=frozenset({PlaceName.VETH}),
    missing=lambda: None if shutil.which("nft") else "nft is not installed",
)
