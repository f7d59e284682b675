"""What the gateway is to reach, as a table, and whether a run shows that it does. Pure.

Ratios are to HAProxy with its default socket options, in the same round. Where a goal covers both directions or
both places, each is a goal of its own: none may hide behind another.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from bench.peers.catalogue import BASELINE, BASELINE_SAME, GATEWAY, GATEWAY_BUSY
from bench.places import PlaceName
from bench.summary import Spread, Summary


class Verdict(StrEnum):
    """What a run says of a goal."""

    MET = "met"
    MISSED = "**missed**"
    UNMEASURED = "not measured"


class Kind(StrEnum):
    """How the figure is to be read."""

    RATIO = "ratio to HAProxy"
    ABSOLUTE = "absolute"


class Goal(NamedTuple):
    """One row of the issue's table, in one place and direction."""

    title: str
    place: PlaceName
    measure: str
    figure: str
    reach: float
    kind: Kind = Kind.RATIO
    peer: str = GATEWAY
    unit: str = ""


class Judged(NamedTuple):
    """A goal and what was measured. `same` is the ratio to HAProxy with the gateway's options, for comparison."""

    goal: Goal
    measured: Spread | None
    same: Spread | None
    verdict: Verdict


_BULK = (
    (PlaceName.LOOPBACK, 1, 0.45),
    (PlaceName.LOOPBACK, 50, 0.30),
    (PlaceName.VETH, 1, 0.85),
    (PlaceName.VETH, 50, 0.95),
)

GOALS = (
    *(
        Goal(
            f"CPU s/GiB, {flows} flow{'s' if flows > 1 else ''}, {words}",
            place,
            f"bulk-{direction}-{flows}",
            "cpu_s_per_gib",
            reach,
        )
        for place, flows, reach in _BULK
        for direction, words in (("up", "to the target"), ("down", "to the client"))
    ),
    *(
        goal
        for place in (PlaceName.LOOPBACK, PlaceName.VETH)
        for goal in (
            Goal("CPU per connection, RST close", place, "churn-rst", "cpu_us_per_connection", 1.00),
            Goal("CPU per connection, FIN close", place, "churn-fin", "cpu_us_per_connection", 1.05),
            Goal("one-byte round trip", place, "rtt", "p50_us", 1.10),
            Goal("one-byte round trip, busy_poll 50 µs", place, "rtt", "p50_us", 0.45, peer=GATEWAY_BUSY),
            Goal("user-space memory per idle session", place, "memory", "bytes_per_session", 0.25),
            Goal("the same, in bytes", place, "memory", "bytes_per_session", 800, Kind.ABSOLUTE, unit="B"),
            Goal("simultaneous connects until all echoed", place, "storm", "ms", 1.00),
        )
    ),
    Goal(
        "carrier lost until first byte through the standby",
        PlaceName.TUNNELS,
        "failover",
        "gap_ms",
        20,
        Kind.ABSOLUTE,
        unit="ms",
    ),
)


def judge(goal: Goal, summary: Summary) -> Judged:
    """What the summary says of one goal."""
    if goal.kind is Kind.ABSOLUTE:
        measured = summary.figure(goal.place, goal.measure, goal.peer, goal.figure)
        same = None
    else:
        measured, same = (
            summary.ratio(goal.place, goal.measure, goal.figure, peer=goal.peer, baseline=baseline)
            for baseline in (BASELINE, BASELINE_SAME)
        )
    if measured is None:
        return Judged(goal, None, same, Verdict.UNMEASURED)
    return Judged(goal, measured, same, Verdict.MET if measured.median <= goal.reach else Verdict.MISSED)
