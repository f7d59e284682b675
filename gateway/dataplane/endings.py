"""What is said of a session at its end: the message behind one line of the session log, made if somebody listens."""

from __future__ import annotations

from time import monotonic

from gateway.dataplane.allow import plain_address
from gateway.dataplane.messages import SessionEnded
from gateway.dataplane.plan import Plan
from gateway.dataplane.session import Session
from gateway.model import CloseReason, ConnectResult, Endpoint


def ended(session: Session, reason: CloseReason) -> SessionEnded:
    """A session that had its upstream. To be asked before its sockets are closed."""
    host, port = (session.client or ("", 0))[:2]  # of IPv6 it is a tuple of four
    ports = session.plan.ports
    return SessionEnded(
        forward=session.plan.forward.spec.name,
        client=str(Endpoint(plain_address(host), port)),
        listen=str(ports.listen),
        target=str(ports.target),
        tunnel=session.attempt.lane.tunnel.name,
        result=ConnectResult.OK,
        reason=reason,
        to_target=session.up.moved,
        to_client=session.down.moved,
        duration=monotonic() - session.accepted_at,
    )


def ended_without_upstream(
    plan: Plan, client: tuple[str, int], result: ConnectResult, duration: float, reason: CloseReason | None = None
) -> SessionEnded:
    """A client that got no upstream. `duration`: seconds from accept to its end."""
    return SessionEnded(
        forward=plan.forward.spec.name,
        client=str(Endpoint(plain_address(client[0]), client[1])),
        listen=str(plan.ports.listen),
        target=str(plan.ports.target),
        tunnel=None,
        result=result,
        reason=reason,
        to_target=0,
        to_client=0,
        duration=duration,
    )
