"""The hands: how the controller's decisions reach the data plane, and the senses."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.app.senses import Senses
from gateway.dataplane.messages import AbortTunnel, DataPlane, Shed
from gateway.model import CloseReason, ProbePlan, RoutingTable


class Hands:
    """See `control.controller.Hands`."""

    def __init__(self, plane: DataPlane, senses: Senses) -> None:
        self._plane = plane
        self._senses = senses

    def probe(self, plans: Mapping[str, ProbePlan]) -> None:
        """Have the senses probe by `plans`."""
        self._senses.probe(plans)

    def apply(self, table: RoutingTable) -> None:
        """Have the data plane follow `table`, and the senses look at what it needs. Raises ListenError."""
        self._plane.apply(table)
        self._senses.follow(table)

    def abort(self, tunnel: str, forwards: frozenset[str], reason: CloseReason) -> int:
        """Reset sessions of a tunnel."""
        return self._plane.abort(AbortTunnel(tunnel=tunnel, forwards=forwards, reason=reason))

    def shed(self, forward: str, tunnel: str, sessions: int) -> int:
        """Reset some sessions that should move back."""
        return self._plane.shed(Shed(forward=forward, tunnel=tunnel, sessions=sessions))

    def await_connect(self, forward: str, tunnel: str) -> None:
        """Have the data plane say when the forward has connected through the tunnel."""
        self._plane.await_connect(forward, tunnel)
