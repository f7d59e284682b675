"""A made-up gateway: what it counted, what its controller sees, and the two as something that can be asked."""

from dataclasses import dataclass, field

from gateway.admin.families import Facts, ReloadFacts
from gateway.admin.http import AdminServer, Questions
from gateway.admin.metrics import Metrics, Sources
from gateway.admin.readiness import Phase
from gateway.dataplane.messages import Histogram, Stats
from gateway.model import (
    AdminState,
    Cause,
    CloseReason,
    ConnectResult,
    ControlView,
    DialFailure,
    ForwardView,
    Health,
    ReadyWhen,
    TunnelKind,
    TunnelView,
)


def tunnel(name: str, health: Health = Health.UP, cause: Cause | None = Cause.FIRST_GOOD) -> TunnelView:
    return TunnelView(
        name=name, kind=TunnelKind.INTERFACE, health=health, admin=AdminState.ENABLED, cause=cause, since=100.0
    )


def forward(name: str, active: str | None = "zone-a", **why: str) -> ForwardView:
    return ForwardView(name=name, active=active, servable=active is not None, why=why)


STATS = Stats(
    connections={("hello", ConnectResult.OK): 7, ("hello", ConnectResult.DENIED): 1, ("ldap", ConnectResult.OK): 0},
    active={("hello", "zone-a"): 2, ("ldap", "zone-a"): 0},
    closed={("hello", CloseReason.EOF): 4, ("hello", CloseReason.TUNNEL_DOWN): 1, ("hello", CloseReason.IDLE): 0},
    to_target={("hello", "zone-a"): 120, ("hello", "zone-b"): 10, ("ldap", "zone-a"): 0},
    to_client={("hello", "zone-a"): 2**53 + 1},
    dial_failures={("hello", "zone-b", DialFailure.TIMED_OUT): 3},
    last_resort={"hello": 2, "ldap": 0},
    connect_seconds={
        "zone-a": Histogram(bounds=(0.01, 0.1, 1.0), counts=(5, 0, 1, 2), total=4.5),
        "zone-b": Histogram(bounds=(0.01, 0.1, 1.0), counts=(0, 0, 0, 0), total=0.0),
    },
    accept_pauses=3,
    sessions=2,
)

VIEW = ControlView(
    tunnels=(tunnel("zone-a"), tunnel("zone-b", Health.DOWN, Cause.CARRIER_LOST)),
    forwards=(forward("hello"), forward("ldap", active=None)),
    transitions={("zone-b", Cause.CARRIER_LOST): 2, ("zone-a", Cause.FIRST_GOOD): 1},
    failovers={("hello", "zone-b", "zone-a", "carrier_lost"): 1},
)

FACTS = Facts(
    stats=STATS,
    view=VIEW,
    reload=ReloadFacts(successful=True, success_at_unix=1_700_000_000.0),
    lag=0.0125,
    draining=False,
)


@dataclass
class FakeGateway:
    """What the endpoints ask, settable."""

    stats: Stats = STATS
    view: ControlView = VIEW
    reload: ReloadFacts = FACTS.reload
    lag: float = FACTS.lag
    phase: Phase = Phase.RUNNING
    ready_when: ReadyWhen = ReadyWhen.ANY
    now: float = 160.0
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        sources = Sources(
            stats=lambda: self.stats,
            view=lambda: self.view,
            reload=lambda: self.reload,
            lag=lambda: self.lag,
            draining=lambda: self.phase is Phase.DRAINING,
        )
        self.metrics = Metrics(sources, version="1.2.3", environment="test")

    def server(self) -> AdminServer:
        questions = Questions(
            view=lambda: self.view,
            phase=lambda: self.phase,
            ready_when=lambda: self.ready_when,
            clock=lambda: self.now,
        )
        return AdminServer(metrics=self.metrics, questions=questions)
