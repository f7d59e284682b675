"""The two ways to the target that are compared. Their difference is the gateway, and nothing else."""

from __future__ import annotations

from enum import StrEnum


class Way(StrEnum):
    """How the load reaches the target; the value is the `peer` of a sample."""

    GATEWAY = "gateway"  # the load connects to the gateway, which connects through the tunnel
    DIRECT = "direct"  # the load connects to the target, bound to the tunnel's device; the gateway idles
