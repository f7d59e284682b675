"""A made-up gateway: what it counted, what its controller sees, and all of it as something that can be asked.

The story: zone-b has lost its carrier. zone-a is back and, though in its hold-down and slow, the only one: hello goes
through it. ldap's target is silent behind it, so ldap has none. zone-b's VPN client was refused twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from gateway.admin.api import Api, ApiSources
from gateway.admin.book.book import Book
from gateway.admin.control import ControlServer
from gateway.admin.drivers import Tally
from gateway.admin.families import Facts, ReloadFacts
from gateway.admin.http import AdminServer, Questions
from gateway.admin.metrics import Metrics, Sources
from gateway.admin.once import Once
from gateway.admin.rates import Rate, Rates
from gateway.admin.readiness import Phase
from gateway.admin.stats import NothingProbed, ProbeStatsView
from gateway.dataplane.messages import Histogram, Stats
from gateway.errors import RefusedError
from gateway.model import (
    AdminState,
    Cause,
    CloseReason,
    ConnectResult,
    ControlView,
    DialFailure,
    Doubt,
    DrilledForward,
    DrillReport,
    DriverState,
    DriverStatus,
    Durations,
    Endpoint,
    Expiry,
    Failure,
    FailureReason,
    ForwardView,
    Health,
    HedgeResult,
    HoldResult,
    ProbeOutcome,
    ProbeView,
    ReadyWhen,
    TunnelKind,
    TunnelView,
)

HELLO, LDAP = Endpoint("192.168.100.30", 8080), Endpoint("192.168.100.31", 389)
SERVER = Endpoint("198.51.100.7", 1194)
HTTPS = "https://192.168.100.30:8443/health"


def tunnel(name: str, health: Health = Health.UP, cause: Cause | None = Cause.FIRST_GOOD, **more: object) -> TunnelView:
    values = {"kind": TunnelKind.INTERFACE, "admin": AdminState.ENABLED, "since": 100.0, **more}
    return TunnelView(name=name, health=health, cause=cause, **values)


def forward(name: str, active: str | None = "zone-a", **why: str) -> ForwardView:
    return ForwardView(name=name, active=active, servable=active is not None, why=why)


def probe(target: Endpoint | None, health: Health = Health.UP, **more: object) -> ProbeView:
    up = health is Health.UP
    values = {
        "label": "icmp://10.10.20.1" if target is None else f"tcp://{target}",
        "run": 12 if up else -3,
        "last_at": 159.5,
        "last_outcome": ProbeOutcome.PASSED if up else ProbeOutcome.FAILED,
        "alive_at": 159.5 if up else 120.0,
        "rtt": 0.0121 if up else None,
        "loss": 0.0 if up else 1.0,
        **more,
    }
    return ProbeView(target=target, health=health, **values)


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
    held={"ldap": 3},
    holds={("hello", HoldResult.SERVED): 4, ("hello", HoldResult.LEFT): 0},
    hedges={("hello", HedgeResult.WON): 1, ("ldap", HedgeResult.LOST): 0},
    accept_pauses=3,
    sessions=2,
)

VIEW = ControlView(
    tunnels=(
        tunnel(
            "zone-a",
            cause=Cause.RECOVERED,
            interface="tun-a",
            addresses=("10.8.0.2",),
            evidence="2 answers in a row",
            doubts=(Doubt.LATENCY,),
            alive_at=159.5,
            rtt=0.0121,
            loss=0.25,
            flaps=1,
            hold_until=178.25,
            mss=1200,
            next="new sessions return when its hold-down is over",
            probes=(probe(HELLO), probe(LDAP, Health.DOWN), probe(None)),
        ),
        tunnel(
            "zone-b",
            Health.DOWN,
            Cause.CARRIER_LOST,
            interface="tun-b",
            evidence="the kernel says that the carrier is gone",
            next="the carrier comes back, then 2 answers in a row",
            probes=(probe(HELLO, Health.UNKNOWN, run=0, last_at=None, last_outcome=None, alive_at=None),),
        ),
    ),
    forwards=(
        ForwardView(
            name="hello",
            active="zone-a",
            servable=True,
            why={"zone-b": "down: carrier_lost"},
            listens=("*:33000",),
            target=str(HELLO),
            offered=("zone-a",),
        ),
        ForwardView(
            name="ldap",
            active=None,
            servable=False,
            why={"": "no tunnel can be used", "zone-a": "its target is silent", "zone-b": "down: carrier_lost"},
            listens=("*:33001",),
            target=str(LDAP),
        ),
    ),
    transitions={("zone-b", Cause.CARRIER_LOST): 2, ("zone-a", Cause.FIRST_GOOD): 1},
    failovers={("hello", "zone-b", "zone-a", "carrier_lost"): 1},
    failover_seconds=Durations(bounds=(0.05, 1.0), counts=(1, 2, 0), total=1.25),
    failbacks={("hello", "zone-b", "zone-a"): 2},
)


PROBES = NothingProbed(
    durations={("zone-a", f"tcp://{HELLO}"): Histogram(bounds=(0.01, 0.1), counts=(8, 1, 0), total=0.2)},
    failures={("zone-a", f"tcp://{LDAP}"): 3, ("zone-a", f"tcp://{HELLO}"): 0},
    expiries={("zone-a", HTTPS): 1_800_000_000.0},
)

RATES = Rates(
    seconds=10.0,
    tunnels={"zone-a": Rate(to_target=1500.0, to_client=2.5e6, connections=3.0)},
    forwards={"hello": Rate(to_target=1500.0, to_client=2.5e6, connections=3.25)},
)

NOW_UNIX = 1_799_000_000.0

UP = DriverStatus(
    tunnel="zone-a",
    state=DriverState.CONNECTED,
    since=100.0,
    server=SERVER,
    addresses=(ip_address("10.8.0.2"),),
    transmitted=1500,
    received=2_500_000,
)

REFUSED = DriverStatus(
    tunnel="zone-b",
    state=DriverState.AUTH_FAILED,
    since=130.0,
    server=SERVER,
    attempts=2,
    retry_at=190.0,
    failure=Failure(reason=FailureReason.WRONG_PASSWORD, detail="the server refused the account myuser", server=SERVER),
)

DRIVERS = {"zone-a": UP, "zone-b": REFUSED}

TALLY = Tally(
    attempts={"zone-a": 1, "zone-b": 2, "zone-c": 0},
    failures={("zone-b", FailureReason.WRONG_PASSWORD): 2},
    transmitted={"zone-a": 1500, "zone-b": 0},
    received={"zone-a": 2_500_000},
)

EXPIRIES = (
    Expiry(tunnel="zone-a", certificate="ca", subject="CN=an old ca", expires_at_unix=NOW_UNIX + 3600),
    Expiry(tunnel="zone-a", certificate="ca", subject="CN=a new ca", expires_at_unix=NOW_UNIX + 7200),
    Expiry(tunnel="zone-a", certificate="client", subject="CN=client", expires_at_unix=NOW_UNIX - 60),
)

FACTS = Facts(
    stats=STATS,
    view=VIEW,
    probes=PROBES,
    once=Once().and_now(VIEW),
    now=160.0,
    reload=ReloadFacts(successful=True, success_at_unix=1_700_000_000.0),
    lag=0.0125,
    draining=False,
    drivers=DRIVERS,
    tally=TALLY,
    expiries=EXPIRIES,
    unkept=4,
)

REPORT = DrillReport(
    tunnel="zone-a",
    seconds=10.0,
    sessions_reset=2,
    restored=True,
    forwards=(
        DrilledForward(forward="hello", to_tunnel="zone-b", seconds=0.0213, probed=False),
        DrilledForward(forward="ldap", to_tunnel="zone-b", seconds=0.4, probed=True),
    ),
)


@dataclass
class FakeOperations:
    """Carries out what is asked on paper, and keeps it in `asked`. `refusal`: nothing is done, for that reason."""

    gateway: "FakeGateway"
    report: DrillReport = REPORT
    moved: tuple[str, ...] = ("hello",)
    refusal: str | None = None
    asked: list[tuple[object, ...]] = field(default_factory=list)

    async def set_admin(
        self,
        tunnel: str,
        admin: AdminState,
        *,
        timeout: float | None,  # noqa: ASYNC109 - as the protocol says
        by: str,
    ) -> TunnelView:
        self._asked("set_admin", tunnel, admin, timeout, by)
        until = self.gateway.now + (timeout or 25.0) if admin is AdminState.DRAINING else None
        [old] = [each for each in self.gateway.view.tunnels if each.name == tunnel]
        new = replace(old, admin=admin, drain_until=until)
        tunnels = tuple(new if each is old else each for each in self.gateway.view.tunnels)
        self.gateway.view = replace(self.gateway.view, tunnels=tunnels)
        return new

    async def failback(self, name: str, *, by: str) -> tuple[str, ...]:
        self._asked("failback", name, by)
        return self.moved

    async def drill(self, tunnel: str, *, seconds: float, by: str) -> DrillReport:
        self._asked("drill", tunnel, seconds, by)
        return replace(self.report, tunnel=tunnel, seconds=seconds)

    async def connect(self, tunnel: str, *, by: str) -> DriverStatus:
        return self._client("connect", tunnel, by, DriverState.CONNECTING)

    async def disconnect(self, tunnel: str, *, by: str) -> DriverStatus:
        return self._client("disconnect", tunnel, by, DriverState.STOPPED)

    def _client(self, what: str, tunnel: str, by: str, state: DriverState) -> DriverStatus:
        self._asked(what, tunnel, by)
        return DriverStatus(tunnel=tunnel, state=state, since=self.gateway.now, server=SERVER, attempts=1)

    def _asked(self, *what: object) -> None:
        if self.refusal is not None:
            raise RefusedError(self.refusal)
        self.asked.append(what)


@dataclass
class FakeGateway:
    """What the endpoints ask, settable. `asked` counts how often the view was."""

    stats: Stats = STATS
    view: ControlView = VIEW
    rates: Rates = RATES
    reload: ReloadFacts = FACTS.reload
    probes: ProbeStatsView = PROBES
    lag: float = FACTS.lag
    phase: Phase = Phase.RUNNING
    ready_when: ReadyWhen = ReadyWhen.ANY
    now: float = 160.0
    now_unix: float = NOW_UNIX
    drivers: Mapping[str, DriverStatus] = field(default_factory=lambda: DRIVERS)
    tally: Tally = TALLY
    expiries: tuple[Expiry, ...] = EXPIRIES
    unkept: int = FACTS.unkept
    book: Book = field(default_factory=lambda: Book(None))
    asked: int = 0
    metrics: Metrics = field(init=False)
    operations: FakeOperations = field(init=False)
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        sources = Sources(
            stats=lambda: self.stats,
            view=lambda: self.view,
            reload=lambda: self.reload,
            lag=lambda: self.lag,
            draining=lambda: self.phase is Phase.DRAINING,
            probes=lambda: self.probes,
            drivers=lambda: self.drivers,
            tally=lambda: self.tally,
            expiries=lambda: self.expiries,
            unkept=lambda: self.unkept,
            clock=lambda: self.now,
        )
        self.metrics = Metrics(sources, version="1.2.3", environment="test")
        self.operations = FakeOperations(self)
        asked = ApiSources(
            view=self._looked,
            stats=lambda: self.stats,
            rates=lambda: self.rates,
            phase=lambda: self.phase,
            version="1.2.3",
            environment="test",
            clock=lambda: self.now,
            now_unix=lambda: self.now_unix,
            drivers=lambda: self.drivers,
            expiries=lambda: self.expiries,
        )
        self.api = Api(asked, self.operations, connections=self.operations, book=self.book)

    def server(self, control: ControlServer | None = None) -> AdminServer:
        questions = Questions(
            view=lambda: self.view,
            phase=lambda: self.phase,
            ready_when=lambda: self.ready_when,
            clock=lambda: self.now,
        )
        place = (lambda: None) if control is None else (lambda: control.path)
        return AdminServer(metrics=self.metrics, questions=questions, api=self.api, control=place)

    def control(self, **env: str) -> ControlServer:
        return ControlServer(self.api, env=env)

    def _looked(self) -> ControlView:
        self.asked += 1
        return self.view
