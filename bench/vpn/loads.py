"""The questions asked of a tunnel, and what comes out of an answer and its cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.children import SampleError
from bench.measures import GIB, MICRO, Target
from bench.vpn.ways import Way

Values = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a load does, as the load program counts it under `key`, and in which units it is told.

    CPU seconds are divided by `count / per` and multiplied by `scale`; `rate_scale` makes the rate of counts a second.
    """

    key: str
    per: float
    scale: float
    cost_unit: str
    rate_scale: float
    rate_unit: str


BYTES = Work(key="bytes", per=GIB, scale=1, cost_unit="s/GiB", rate_scale=8e-9, rate_unit="Gbit/s")
CONNECTIONS = Work(
    key="connections", per=1, scale=MICRO, cost_unit="µs/connection", rate_scale=1, rate_unit="connections/s"
)
ROUND_TRIPS = Work(
    key="round_trips", per=1, scale=MICRO, cost_unit="µs/round trip", rate_scale=1, rate_unit="round trips/s"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One question: `arguments` of the load program but for time and place, against a target of that mode."""

    name: str
    title: str
    target: Target
    arguments: tuple[str, ...]
    work: Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU seconds of each party while a load ran. `client` and `server` are the VPN's; `machine` is all cores'.

    `foreign_share` is the part of one core that went to processes outside the sample: noise.
    """

    gateway: float
    client: float
    server: float
    machine: float
    foreign_share: float


def _bulk(*, flows: int, down: bool) -> Load:
    return Load(
        name=f"bulk-{'down' if down else 'up'}-{flows}",
        title=f"bulk {'to the client' if down else 'to the target'}, {flows} flow{'s' if flows > 1 else ''}",
        target=Target.SOURCE if down else Target.SINK,
        arguments=("bulk", "--flows", str(flows), *(("--down",) if down else ())),
        work=BYTES,
    )


LOADS = (
    _bulk(flows=1, down=False),
    _bulk(flows=1, down=True),
    _bulk(flows=10, down=False),
    _bulk(flows=10, down=True),
    Load(
        name="churn-rst",
        title="64 at once: open, one byte there and back, close by RST",
        target=Target.ECHO,
        arguments=("churn", "--flows", "64", "--reset"),
        work=CONNECTIONS,
    ),
    Load(name="rtt", title="round trip of one byte", target=Target.ECHO, arguments=("rtt",), work=ROUND_TRIPS),
)


def values(load: Load, way: Way, answer: Mapping[str, object], cost: Cost) -> Values:
    """The figures of a sample. Raises SampleError if nothing was done, or the answer lacks a number.

    `path_cpu` is what the way needs of the machine that the gateway runs on: the VPN client and, if the way leads
    through it, the gateway. `gateway_share` is the gateway's part of that.
    """
    count = _number(answer, load.work.key)
    if count <= 0:
        raise SampleError(f"{load.name} did nothing: {dict(answer)}")
    factor = load.work.scale * load.work.per / count
    found = {"rate": count * load.work.rate_scale / _number(answer, "seconds")}
    path = cost.client
    if way is Way.GATEWAY:
        path += cost.gateway
        found["gateway_cpu"] = cost.gateway * factor
        found["gateway_share"] = cost.gateway / path if path else 0.0
    found |= {
        "client_cpu": cost.client * factor,
        "path_cpu": path * factor,
        "server_cpu": cost.server * factor,
        "machine_cpu": cost.machine * factor,
        "foreign_share": cost.foreign_share,
    }
    if "p50" in answer:
        found |= {"p50_us": _number(answer, "p50") * MICRO, "p99_us": _number(answer, "p99") * MICRO}
    if "failed" in answer:
        found["failed"] = _number(answer, "failed") + _number(answer, "hung")
    return found


def _number(answer: Mapping[str, object], key: str) -> float:
    value = answer.get(key)
    if not isinstance(value, int | float):
        raise SampleError(f"the load program's answer has no number {key!r}: {dict(answer)}")
    return float(value)
