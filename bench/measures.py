"""The questions: what load is applied, and which figures come out of it. The first figure of each is its headline.

CPU figures are those of the peer's processes (user + system, workers and children included); `machine_…` are the
busy time of all cores, load and target included, so that peers in the kernel can be compared too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bench.places import PlaceName
from bench.rig import Metered, Rig, number

GIB = 1 << 30
MICRO = 1e6
Values = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much of it: seconds of steady load, connections under way in a churn, sessions held, crowd of a storm."""

    rounds: int = 5
    seconds: float = 3.0
    churn_at_once: int = 64
    sessions: int = 8000
    storm: int = 5000


class Target(StrEnum):
    """Modes of the load program that serve as targets."""

    ECHO = "echo"
    SINK = "sink"
    SOURCE = "source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number of a sample. Smaller is better unless `rate`."""

    key: str
    title: str
    unit: str
    rate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One question. `repeats` samples are taken in a round."""

    name: str
    title: str
    target: Target
    figures: tuple[Figure, ...]
    take: Callable[[Rig, Settings], Values]
    places: tuple[PlaceName, ...] = (PlaceName.LOOPBACK, PlaceName.VETH)
    repeats: int = 1

    @property
    def headline(self) -> Figure:
        return self.figures[0]


def _per_unit(metered: Metered, units: float, scale: float, suffix: str) -> Values:
    """CPU of the peer (if it has processes) and of the machine, per unit of work."""
    values = {f"machine_{suffix}": metered.machine * scale / units, "foreign_share": metered.foreign_share}
    if metered.cpu is not None:
        values[f"cpu_{suffix}"] = metered.cpu * scale / units
    return values


def _bulk(*, flows: int, down: bool) -> Measure:
    direction = "to the client" if down else "to the target"
    arguments = ["bulk", "--flows", str(flows), *(["--down"] if down else [])]

    def take(rig: Rig, settings: Settings) -> Values:
        rig.load(*arguments, "--seconds", "0.3")
        metered = rig.metered(*arguments, "--seconds", str(settings.seconds))
        moved = number(metered.answer, "bytes")
        seconds = number(metered.answer, "seconds")
        return {**_per_unit(metered, moved / GIB, 1, "s_per_gib"), "gbit_per_s": moved * 8 / seconds / 1e9}

    return Measure(
        name=f"bulk-{'down' if down else 'up'}-{flows}",
        title=f"bulk {direction}, {flows} flow{'s' if flows > 1 else ''}",
        target=Target.SOURCE if down else Target.SINK,
        figures=(
            Figure(key="cpu_s_per_gib", title="CPU", unit="s/GiB"),
            Figure(key="machine_s_per_gib", title="machine busy", unit="s/GiB"),
            Figure(key="gbit_per_s", title="rate", unit="Gbit/s", rate=True),
        ),
        take=take,
    )


def _churn(*, reset: bool) -> Measure:
    def take(rig: Rig, settings: Settings) -> Values:
        arguments = ["churn", "--flows", str(settings.churn_at_once), *(["--reset"] if reset else [])]
        rig.load(*arguments, "--seconds", "0.3")
        metered = rig.metered(*arguments, "--seconds", str(settings.seconds))
        connections = number(metered.answer, "connections")
        return {
            **_per_unit(metered, connections, MICRO, "us_per_connection"),
            "connections_per_s": connections / number(metered.answer, "seconds"),
            "p50_us": number(metered.answer, "p50") * MICRO,
            "p99_us": number(metered.answer, "p99") * MICRO,
            "failed": number(metered.answer, "failed") + number(metered.answer, "hung"),
        }

    return Measure(
        name="churn-rst" if reset else "churn-fin",
        title=f"open, one byte there and back, close by {'RST' if reset else 'FIN'}",
        target=Target.ECHO,
        figures=(
            Figure(key="cpu_us_per_connection", title="CPU", unit="µs/connection"),
            Figure(key="machine_us_per_connection", title="machine busy", unit="µs/connection"),
            Figure(key="connections_per_s", title="rate", unit="connections/s", rate=True),
            Figure(key="p99_us", title="99 % within", unit="µs"),
            Figure(key="failed", title="failed", unit=""),
        ),
        take=take,
    )


def _round_trip(rig: Rig, settings: Settings) -> Values:
    rig.load("rtt", "--seconds", "0.3")
    metered = rig.metered("rtt", "--seconds", str(settings.seconds))
    trips = number(metered.answer, "round_trips")
    return {
        **_per_unit(metered, trips, MICRO, "us_per_round_trip"),
        "p50_us": number(metered.answer, "p50") * MICRO,
        "p99_us": number(metered.answer, "p99") * MICRO,
    }


def _memory(rig: Rig, settings: Settings) -> Values:
    rig.load("storm", "--flows", "100", "--seconds", "10")  # what is allocated once is allocated now
    before = rig.settled_memory()
    with rig.holding(settings.sessions):
        after = rig.settled_memory()
    return {
        "bytes_per_session": (after.anonymous - before.anonymous) / settings.sessions,
        "pss_per_session": (after.pss - before.pss) / settings.sessions,
        "base_mib": before.pss / (1 << 20),
    }


def _storm(rig: Rig, settings: Settings) -> Values:
    rig.load("storm", "--flows", "100", "--seconds", "10")
    metered = rig.metered("storm", "--flows", str(settings.storm), "--seconds", "60")
    answered = number(metered.answer, "answered")
    return {
        **_per_unit(metered, max(answered, 1), MICRO, "us_per_connection"),
        "ms": number(metered.answer, "seconds") * 1e3,
        "p50_ms": number(metered.answer, "p50") * 1e3,
        "failed": settings.storm - answered,
    }


def _failover(rig: Rig, _settings: Settings) -> Values:
    with rig.connecting(seconds=30) as client:
        rig.next_line(client)  # the first answer
        time.sleep(1)  # a client that has been at it for a while, and a standby that is known to be good
        fault = rig.take_link_down()
        answer = rig.next_line(client)
    return {
        "gap_ms": (number(answer, "at") - number(fault, "before")) * 1e3,
        "silence_ms": (number(answer, "at") - number(answer, "last_before")) * 1e3,
        "failed": number(answer, "failed"),
    }


MEASURES = (
    _bulk(flows=1, down=False),
    _bulk(flows=1, down=True),
    _bulk(flows=50, down=False),
    _bulk(flows=50, down=True),
    _churn(reset=True),
    _churn(reset=False),
    Measure(
        name="rtt",
        title="round trip of one byte",
        target=Target.ECHO,
        figures=(
            Figure(key="p50_us", title="half within", unit="µs"),
            Figure(key="p99_us", title="99 % within", unit="µs"),
            Figure(key="cpu_us_per_round_trip", title="CPU", unit="µs/round trip"),
            Figure(key="machine_us_per_round_trip", title="machine busy", unit="µs/round trip"),
        ),
        take=_round_trip,
    ),
    Measure(
        name="memory",
        title="user-space memory per idle session",
        target=Target.ECHO,
        figures=(
            Figure(key="bytes_per_session", title="allocated", unit="B/session"),
            Figure(key="pss_per_session", title="PSS", unit="B/session"),
            Figure(key="base_mib", title="PSS before any", unit="MiB"),
        ),
        take=_memory,
    ),
    Measure(
        name="storm",
        title="simultaneous connects until all echoed",
        target=Target.ECHO,
        figures=(
            Figure(key="ms", title="time", unit="ms"),
            Figure(key="cpu_us_per_connection", title="CPU", unit="µs/connection"),
            Figure(key="machine_us_per_connection", title="machine busy", unit="µs/connection"),
            Figure(key="failed", title="failed", unit=""),
        ),
        take=_storm,
    ),
    Measure(
        name="failover",
        title="carrier lost until the first byte through the standby",
        target=Target.ECHO,
        figures=(
            Figure(key="gap_ms", title="gap", unit="ms"),
            Figure(key="silence_ms", title="without an answer", unit="ms"),
            Figure(key="failed", title="failed connections", unit=""),
        ),
        take=_failover,
        places=(PlaceName.TUNNELS,),
        repeats=4,
    ),
)
