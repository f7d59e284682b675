"""Reporting: what a decision is worth saying to those who read the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from typing import Final

import structlog

from gateway.model import Failover, Health, Return, Transition
from gateway.observe.events import Event
from gateway.policy.reconcile import Decision

log = structlog.get_logger()

_NAMED: Final = 5  # forwards named in one log line; the others are counted


def report(decision: Decision, aborted: Counter[str]) -> None:
    """One line for each transition and each move; `aborted` are the sessions that were reset, by tunnel."""
    left = Counter(aborted)
    for transition in decision.transitions:
        _say_transition(transition, left.pop(transition.tunnel, 0) if transition.target is None else 0)
    for tunnel, sessions in (+left).items():  # +: only those that there were
        log.warning(Event.SESSIONS_ABORTED, tunnel=tunnel, sessions=sessions)
    _say_failovers(decision.failovers)
    _say_returns(decision.returns)


def _say_transition(transition: Transition, aborted: int) -> None:
    write = log.warning if transition.new is Health.DOWN else log.info
    since = transition.evidence_at
    facts: dict[str, object] = {} if since is None else {"age": round(max(0.0, transition.at - since), 3)}
    if transition.target is None:
        event, facts["sessions_aborted"] = Event.TUNNEL_TRANSITION, aborted
    else:
        event, facts["target"] = Event.TARGET_TRANSITION, str(transition.target)
    write(
        event,
        tunnel=transition.tunnel,
        old=transition.old.value,
        new=transition.new.value,
        cause=transition.cause.value,
        evidence=transition.evidence,
        **facts,
    )


def _say_failovers(failovers: Iterable[Failover]) -> None:
    """One line for all forwards that made the same move: there may be ten thousand."""

    def move(failover: Failover) -> tuple[str, str, str]:
        return failover.from_tunnel, failover.to_tunnel, failover.cause.value

    for (old, new, cause), group in groupby(sorted(failovers, key=move), key=move):
        names = [failover.forward for failover in group]
        log.warning(
            Event.FORWARD_FAILOVER,
            from_tunnel=old,
            to_tunnel=new,
            cause=cause,
            forwards=len(names),
            names=names[:_NAMED],
        )


def _say_returns(returns: Iterable[Return]) -> None:
    def move(it: Return) -> tuple[str, str]:
        return it.from_tunnel, it.to_tunnel

    for (old, new), group in groupby(sorted(returns, key=move), key=move):
        names = [it.forward for it in group]
        log.info(Event.FORWARD_FAILBACK, from_tunnel=old, to_tunnel=new, forwards=len(names), names=names[:_NAMED])
