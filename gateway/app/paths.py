"""When to listen for answers that come back by another tunnel: while probes of one go unanswered, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.control.asymmetry import AsymmetryWatch
from gateway.model import Doubt, Health
from gateway.policy.state import State, TunnelState

_EVERY: Final = 1.0  # seconds: an asymmetric path is there to stay


async def watch_paths(state: Callable[[], State]) -> None:
    """Listen where it is worth it, until cancelled. Owns the watch."""
    watch = AsymmetryWatch()
    try:
        while True:
            tunnels = state().tunnels
            links = {name: it.facts for name, it in tunnels.items() if it.facts is not None}
            for name, tunnel in tunnels.items():
                if name in links and _is_unanswered(tunnel):
                    watch.suspect(name, frozenset(links[name].addresses), links)
                else:
                    watch.calm(name)
            await asyncio.sleep(_EVERY)
    finally:
        watch.close()


def _is_unanswered(tunnel: TunnelState) -> bool:
    """Whether its device is fine and its probes are not."""
    if tunnel.fact_cause is not None or not tunnel.is_probed:
        return False
    return tunnel.health.health is not Health.UP or Doubt.UNANSWERED in tunnel.doubts
