"""Fates of connections, as they are counted and logged."""

from __future__ import annotations

from enum import StrEnum


class ConnectResult(StrEnum):
    """What became of an accepted client (`gateway_connections_total{result}`)."""

    __hash__ = str.__hash__  # counted on the hot path, and Enum's own is a Python function

    OK = "ok"
    DENIED = "denied"
    LIMITED = "limited"
    NO_TUNNEL = "no_tunnel"
    DIAL_FAILED = "dial_failed"


class DialFailure(StrEnum):
    """Why one dial of an upstream failed (`gateway_connect_failures_total{reason}`)."""

    __hash__ = str.__hash__  # counted on the hot path, and Enum's own is a Python function

    REFUSED = "refused"  # the target's own answer: proof that the tunnel lives
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    NOT_PROVEN = "not_proven"  # the device is gone, down, or not the one the name stands for: not dialled
    TUNNEL_DOWN = "tunnel_down"  # the tunnel fell while the dial was under way
    LOCAL = "local"  # our own trouble (descriptors, memory, ports): never counts against a tunnel
    RESET = "reset"


class HoldResult(StrEnum):
    """What became of a client that waited for a tunnel (`gateway_holds_total{result}`)."""

    SERVED = "served"  # a tunnel came in time, and was dialled
    TIMED_OUT = "timed_out"
    LEFT = "left"  # the client gave up
    LIMITED = "limited"  # as many as may were waiting already
    ENDED = "ended"  # the gateway stopped, or the forward is gone


class HedgeResult(StrEnum):
    """What a second dial, raced against an unanswered first one, came to (`gateway_hedges_total{result}`)."""

    WON = "won"
    LOST = "lost"
    FAILED = "failed"  # neither did


class CloseReason(StrEnum):
    """Why an established session ended (`gateway_connections_closed_total{reason}`)."""

    __hash__ = str.__hash__  # counted on the hot path, and Enum's own is a Python function

    EOF = "eof"
    CLIENT_RESET = "client_reset"
    TARGET_RESET = "target_reset"
    IDLE = "idle"
    HALF_CLOSE_TIMEOUT = "half_close_timeout"
    USER_TIMEOUT = "user_timeout"
    TUNNEL_DOWN = "tunnel_down"
    DRAIN = "drain"
    ERROR = "error"
