"""Which activities there are in what the rooms of the gateway say, and how they are worded. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from gateway.admin.book.activity import GATEWAY, Activity, ActivityKind
from gateway.model import AdminState, DriverState, DriverStatus
from gateway.policy.clients import in_words

_NAMED: Final = 5
"""Forwards of a move that are named; of ten thousand the number must do."""

_DONE: Final = {
    AdminState.ENABLED: "enabled",
    AdminState.DRAINING: "set to drain",
    AdminState.DISABLED: "disabled",
}


def of_driver(old: DriverStatus | None, new: DriverStatus, *, at_unix: float, by: str = GATEWAY) -> Iterator[Activity]:
    """What it means that the status of a VPN client was `old` and is `new`: at most one activity.

    A failure is news when it is another value than before, the very object: a client may fail twice alike.
    """
    was_up = old is not None and old.state is DriverState.CONNECTED
    is_up = new.state is DriverState.CONNECTED
    failed = None if new.failure is None or (old is not None and new.failure is old.failure) else new.failure
    if is_up and not was_up:
        kind, detail = ActivityKind.CONNECTED, _where(new)
    elif was_up and not is_up:
        kind, detail = ActivityKind.DISCONNECTED, "as asked" if failed is None else in_words(failed)
    elif failed is not None:
        kind, detail = ActivityKind.ATTEMPT_FAILED, in_words(failed)
    else:
        return
    yield Activity(at_unix=at_unix, kind=kind, tunnel=new.tunnel, by=by, detail=detail)


def of_failover(
    from_tunnel: str, to_tunnel: str | None, cause: str, forwards: Sequence[str], *, at_unix: float
) -> Activity:
    """New sessions of `forwards` left `from_tunnel`, which failed them."""
    return Activity(
        at_unix=at_unix,
        kind=ActivityKind.FAILOVER,
        tunnel=from_tunnel,
        to_tunnel=to_tunnel or None,
        detail=f"{cause}: {_named(forwards)}",
    )


def of_failback(
    from_tunnel: str, to_tunnel: str, forwards: Sequence[str], *, at_unix: float, by: str = GATEWAY
) -> Activity:
    """New sessions of `forwards` returned to `to_tunnel`, which is better."""
    return Activity(
        at_unix=at_unix,
        kind=ActivityKind.FAILBACK,
        tunnel=from_tunnel,
        to_tunnel=to_tunnel,
        by=by,
        detail=_named(forwards),
    )


def of_admin(tunnel: str, admin: AdminState, *, at_unix: float, by: str) -> Activity:
    """Somebody wants something else of a tunnel."""
    return Activity(at_unix=at_unix, kind=ActivityKind.ADMIN, tunnel=tunnel, by=by, detail=_DONE[admin])


def of_drill(tunnel: str, seconds: float, *, at_unix: float, by: str) -> Activity:
    """Somebody takes a tunnel out on purpose."""
    detail = f"taken out by a drill for {seconds:g} s"
    return Activity(at_unix=at_unix, kind=ActivityKind.ADMIN, tunnel=tunnel, by=by, detail=detail)


def of_configuration(path: str, *, at_unix: float, by: str = GATEWAY) -> Activity:
    """A configuration is what runs from here on; the start's is the first."""
    return Activity(at_unix=at_unix, kind=ActivityKind.CONFIG_APPLIED, by=by, detail=path)


# ---------------------------------------------------------------- wording


def _where(status: DriverStatus) -> str:
    server = "" if status.server is None else f"to {status.server}"
    addresses = ", ".join(map(str, status.addresses))
    return " as ".join(filter(None, (server, addresses)))


def _named(forwards: Sequence[str]) -> str:
    more = len(forwards) - _NAMED
    return ", ".join(forwards[:_NAMED]) + (f" and {more} more" if more > 0 else "")
