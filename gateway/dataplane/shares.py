"""How a balanced forward's sessions are shared out: to the tunnel that carries least for its weight.

A tunnel that came back starts with a tenth of its weight, which grows to the whole in a straight line: what lies
behind it (caches, autoscaled servers, the link's own congestion control) need not meet everybody at once.
"""

from __future__ import annotations

from typing import Final

from gateway.model import Path

_LEAST: Final = 0.1


def load(sessions: int, path: Path, now: float) -> float:
    """How busy `path` is at `now` with so many `sessions` of a forward on it: the next goes where this is least."""
    if path.ramp_from is None or path.slow_start <= 0.0:
        return sessions / path.weight
    ramp = min(1.0, max(_LEAST, (now - path.ramp_from) / path.slow_start))
    return sessions / (path.weight * ramp)
