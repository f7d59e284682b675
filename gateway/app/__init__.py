"""The composition root: makes the rooms, introduces them to one another, and leads the gateway through its life.

devices, routes ─┐                           ┌─ what to probe ──▶ senses
names            ├─ senses ──▶ controller ───┤
probes, traffic ─┘      evidence   │         └─ hands ── routing table, aborts ──▶ data plane
                                   └── view ──▶ admin ◀────────── stats ──────────────┘
"""

from gateway.app.gateway import Gateway
from gateway.app.process import run

__all__ = ["Gateway", "run"]
