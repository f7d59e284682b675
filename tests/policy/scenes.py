"""A scene of policy: tunnels a and b, forwards, a kernel that says what it is told to, and a clock that is set by hand.

scene = Scene(forward("hello"))
scene.sees(a=GOOD, b=GOOD)
scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
assert scene.chosen("hello") == ("b",)

A probed scene has a prober, too: what is asked, and what comes of it, is told by hand.

scene = probed_scene()
scene.answers("a", at=0.02)
scene.fails("a", sent=1.0, at=1.8)
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from gateway.model import (
    AdminState,
    Cause,
    Choice,
    Doubt,
    Endpoint,
    Failback,
    ForwardPolicy,
    ForwardSpec,
    HealthSettings,
    KernelSnapshot,
    LinkFacts,
    ListenAddress,
    PortMap,
    ProbeKind,
    ProbeOutcome,
    ProbeSpec,
    TunnelDownAction,
    TunnelKind,
    TunnelSpec,
    WhenDown,
)
from gateway.policy.aims import label_of
from gateway.policy.evidence import (
    Doubted,
    Drilled,
    Evidence,
    Heard,
    Intent,
    KernelSeen,
    NamesSeen,
    NothingToShed,
    Probed,
    ReturnNow,
    TimePassed,
    Verdict,
)
from gateway.policy.reconcile import Decision, next_due, step
from gateway.policy.state import State, initial

GOOD = LinkFacts(index=7, up=True, carrier=True, mtu=1500, addresses=("10.20.0.2",))
LINK_DOWN = replace(GOOD, up=False, carrier=False)
NO_CARRIER = replace(GOOD, carrier=False)
BARE = replace(GOOD, addresses=())
REMADE = replace(GOOD, index=8)
GONE = None

Target = Endpoint("192.168.100.30", 8080)
Other = Endpoint("192.168.100.31", 5432)

RTT = 0.02
HEALTH = HealthSettings()


def forward(
    name: str = "hello",
    *tunnels: str,
    target: Endpoint = Target,
    policy: ForwardPolicy = ForwardPolicy.FAILOVER,
    down: TunnelDownAction = TunnelDownAction.ABORT,
    grace: float = 0.0,
    hold: float = 0.0,
    when_down: WhenDown = WhenDown.RESET,
    failback: Failback = Failback.AUTO,
    rate: float = 0.0,
) -> ForwardSpec:
    return ForwardSpec(
        name=name,
        ports=(PortMap(listen=ListenAddress(None, 33000), target=target),),
        tunnels=tunnels or ("a", "b"),
        policy=policy,
        on_tunnel_down=down,
        grace=grace,
        hold_timeout=hold,
        when_down=when_down,
        failback=failback,
        failback_rate=rate,
    )


def tunnel(
    name: str, *, rise: int = 2, interval: float = 1.0, delay: float = 30.0, source: str | None = None
) -> TunnelSpec:
    """A tunnel that is not probed: what the kernel says of its device is all that is known."""
    return TunnelSpec(
        name=name,
        kind=TunnelKind.INTERFACE,
        interface=f"tun-{name}",
        failback_delay=delay,
        source_address=None if source is None else ip_address(source),
        health=HealthSettings(rise=rise, interval=interval, probes=()),
    )


def probed_tunnel(
    name: str, *probes: ProbeSpec, health: HealthSettings | None = None, delay: float = 30.0
) -> TunnelSpec:
    """A tunnel with default settings: the targets of its forwards are probed, or what is named."""
    settings = health or HealthSettings()
    return replace(tunnel(name, delay=delay), health=replace(settings, probes=probes) if probes else settings)


def icmp(host: str, *, size: int = 56) -> ProbeSpec:
    return ProbeSpec(label=f"icmp://{host}#{size}", kind=ProbeKind.ICMP, host=host, size=size)


def http(target: Endpoint) -> ProbeSpec:
    return ProbeSpec(label=f"http://{target}/", kind=ProbeKind.HTTP, host=target.host, port=target.port)


class Scene:
    """Steps through evidence, and remembers every decision. `last` is the latest one."""

    def __init__(self, *forwards: ForwardSpec, tunnels: tuple[TunnelSpec, ...] = ()) -> None:
        self.state: State = initial(forwards or (forward(),), tunnels or (tunnel("a"), tunnel("b")))
        self.now = 0.0
        self.decisions: list[Decision] = []

    @property
    def last(self) -> Decision:
        return self.decisions[-1]

    def takes(self, evidence: Evidence, *, at: float | None = None) -> Decision:
        if at is not None:
            assert at >= self.now
            self.now = at
        self.state, decision = step(self.state, evidence, self.now)
        self.decisions.append(decision)
        return decision

    def sees(
        self,
        *,
        at: float | None = None,
        unrouted: frozenset[tuple[str, str]] = frozenset(),
        **links: LinkFacts | None,
    ) -> Decision:
        present = {f"tun-{name}": facts for name, facts in links.items() if facts is not None}
        return self.takes(KernelSeen(snapshot=KernelSnapshot(links=present, unrouted=unrouted)), at=at)

    # ---------------------------------------------------------------- what probes and traffic say

    def answers(
        self,
        name: str,
        what: Endpoint | ProbeSpec = Target,
        *,
        at: float,
        outcome: ProbeOutcome = ProbeOutcome.PASSED,
        rtt: float = RTT,
    ) -> Decision:
        """A probe sent one round trip before `at` is answered."""
        return self.takes(_probed(name, what, outcome, sent=at - rtt, at=at, rtt=rtt), at=max(at, self.now))

    def fails(
        self,
        name: str,
        what: Endpoint | ProbeSpec = Target,
        *,
        sent: float,
        at: float | None = None,
        outcome: ProbeOutcome = ProbeOutcome.FAILED,
    ) -> Decision:
        """A probe has failed, at its deadline unless it is said when."""
        ended = sent + HEALTH.timeout if at is None else at
        return self.takes(_probed(name, what, outcome, sent=sent, at=ended), at=max(ended, self.now))

    def silence(self, name: str, *whats: Endpoint | ProbeSpec, since: float, until: float) -> None:
        """All that is asked through the tunnel goes unanswered, as the prober asks: soon again and again.

        What fails by `until` is told; what is asked of several is asked of each at the same moments.
        """
        moments = [since]
        while moments[-1] + HEALTH.timeout < until:
            moments.append(moments[-1] + (HEALTH.fast_interval if len(moments) > 1 else HEALTH.suspect_after))
        for sent in moments:
            for what in whats or (Target,):
                if sent + HEALTH.timeout <= until:
                    self.fails(name, what, sent=sent)

    def traffic(self, name: str, target: Endpoint | None = None, *, at: float, seen: float | None = None) -> Decision:
        """Sessions show life at `at`, of which is told at `seen`."""
        return self.takes(Heard(tunnel=name, target=target, at=at), at=max(self.now, at if seen is None else seen))

    def doubts(self, name: str, doubt: Doubt, *, since: float, at: float | None = None) -> Decision:
        return self.takes(Doubted(tunnel=name, doubt=doubt, since=since), at=at)

    def sheds_nothing(self, forward: str, tunnel: str, *, at: float | None = None) -> Decision:
        return self.takes(NothingToShed(forward=forward, tunnel=tunnel), at=at)

    # ---------------------------------------------------------------- what the operator says

    def wants(self, name: str, admin: AdminState, *, until: float | None = None, at: float | None = None) -> Decision:
        return self.takes(Intent(tunnel=name, admin=admin, until=until), at=at)

    def drills(self, name: str, *, until: float | None, at: float | None = None) -> Decision:
        return self.takes(Drilled(tunnel=name, until=until), at=at)

    def returns(self, *, tunnels: str = "", forwards: tuple[str, ...] = (), at: float | None = None) -> Decision:
        """`tunnels` are single letters."""
        return self.takes(ReturnNow(tunnels=frozenset(tunnels), forwards=frozenset(forwards)), at=at)

    def hears(
        self, name: str, cause: Cause | None, *, detail: str = "", first: bool = False, at: float | None = None
    ) -> Decision:
        return self.takes(Verdict(tunnel=name, cause=cause, detail=detail, first=first), at=at)

    def resolves(self, *, at: float | None = None, **names: tuple[str, ...]) -> Decision:
        return self.takes(NamesSeen(addresses=names), at=at)

    def waits(self, until: float) -> None:
        """Let time pass as the controller does: a step at each moment that is due, then one at `until`."""
        while (due := next_due(self.state, self.now)) is not None and due <= until:
            self.takes(TimePassed(), at=max(due, self.now))
        self.takes(TimePassed(), at=until)

    # ---------------------------------------------------------------- what came of it

    def choice(self, name: str = "hello", target: Endpoint = Target) -> Choice:
        return self.state.table.choices[name, target]

    def chosen(self, name: str = "hello", target: Endpoint = Target) -> tuple[str, ...]:
        return self.choice(name, target).tunnels

    def health(self, name: str) -> str:
        return self.state.tunnels[name].health.health.value

    def cause(self, name: str) -> Cause | None:
        return self.state.tunnels[name].health.cause

    def dead(self, name: str) -> set[Endpoint]:
        """The targets that do not answer behind the tunnel."""
        return {target for target, names in self.state.dead.items() if name in names}

    def aborts(self, since: int = 0) -> list[tuple[str, frozenset[str]]]:
        return [(it.tunnel, it.forwards) for decision in self.decisions[since:] for it in decision.aborts]

    def transitions(self) -> list[tuple[str, str, str, Cause]]:
        """Of tunnels."""
        return [
            (it.tunnel, it.old.value, it.new.value, it.cause)
            for made in self.decisions
            for it in made.transitions
            if it.target is None
        ]

    def target_transitions(self) -> list[tuple[str, Endpoint, str, str, Cause]]:
        return [
            (it.tunnel, it.target, it.old.value, it.new.value, it.cause)
            for made in self.decisions
            for it in made.transitions
            if it.target is not None
        ]

    def failovers(self) -> list[tuple[str, str, str, Cause]]:
        return [
            (it.forward, it.from_tunnel, it.to_tunnel, it.cause) for made in self.decisions for it in made.failovers
        ]

    def returned(self) -> list[tuple[str, str, str]]:
        return [(it.forward, it.from_tunnel, it.to_tunnel) for made in self.decisions for it in made.returns]

    def shed(self) -> list[tuple[str, str, int]]:
        return [(it.forward, it.tunnel, it.sessions) for made in self.decisions for it in made.sheds]


def probed_scene(*forwards: ForwardSpec, tunnels: tuple[TunnelSpec, ...] = (), up: bool = True) -> Scene:
    """Tunnels a and b with default settings, UP by an answer at 0.02 unless that is still to come."""
    scene = Scene(*forwards, tunnels=tunnels or (probed_tunnel("a"), probed_tunnel("b")))
    scene.sees(a=GOOD, b=GOOD)
    if up:
        for name in "ab":
            scene.answers(name, *_first_asked(scene, name), at=RTT)
    return scene


def _first_asked(scene: Scene, name: str) -> tuple[Endpoint | ProbeSpec]:
    specs = scene.state.tunnels[name].spec.health.probes
    return (specs[0],) if specs else (scene.state.forwards[0].ports[0].target,)


def _probed(
    name: str, what: Endpoint | ProbeSpec, outcome: ProbeOutcome, *, sent: float, at: float, rtt: float | None = None
) -> Probed:
    is_spec = isinstance(what, ProbeSpec)
    return Probed(
        tunnel=name,
        label=what.label if is_spec else label_of(what),
        target=what.endpoint if is_spec else what,
        outcome=outcome,
        sent_at=sent,
        at=at,
        rtt=rtt,
    )
