"""A scene of policy: tunnels a and b, forwards, a kernel that says what it is told to, and a clock that is set by hand.

scene = Scene(forward("hello"))
scene.sees(a=GOOD, b=GOOD)
scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
assert scene.chosen("hello") == ("b",)
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from gateway.model import (
    Cause,
    Choice,
    Endpoint,
    ForwardPolicy,
    ForwardSpec,
    HealthSettings,
    KernelSnapshot,
    LinkFacts,
    ListenAddress,
    PortMap,
    TunnelDownAction,
    TunnelKind,
    TunnelSpec,
)
from gateway.policy.evidence import Evidence, KernelSeen, NamesSeen, TimePassed, Verdict
from gateway.policy.reconcile import Decision, next_due, step
from gateway.policy.state import State, initial

GOOD = LinkFacts(index=7, up=True, carrier=True, mtu=1500, addresses=("10.20.0.2",))
LINK_DOWN = replace(GOOD, up=False, carrier=False)
NO_CARRIER = replace(GOOD, carrier=False)
BARE = replace(GOOD, addresses=())
REMADE = replace(GOOD, index=8)
GONE = None

Target = Endpoint("192.168.100.30", 8080)


def forward(
    name: str = "hello",
    *tunnels: str,
    target: Endpoint = Target,
    policy: ForwardPolicy = ForwardPolicy.FAILOVER,
    down: TunnelDownAction = TunnelDownAction.ABORT,
    grace: float = 0.0,
) -> ForwardSpec:
    return ForwardSpec(
        name=name,
        ports=(PortMap(listen=ListenAddress(None, 33000), target=target),),
        tunnels=tunnels or ("a", "b"),
        policy=policy,
        on_tunnel_down=down,
        grace=grace,
    )


def tunnel(
    name: str, *, rise: int = 2, interval: float = 1.0, delay: float = 30.0, source: str | None = None
) -> TunnelSpec:
    return TunnelSpec(
        name=name,
        kind=TunnelKind.INTERFACE,
        interface=f"tun-{name}",
        failback_delay=delay,
        source_address=None if source is None else ip_address(source),
        health=HealthSettings(rise=rise, interval=interval, probes=()),
    )


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

    def hears(self, name: str, cause: Cause | None, *, at: float | None = None) -> Decision:
        return self.takes(Verdict(tunnel=name, cause=cause), at=at)

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

    def aborts(self, since: int = 0) -> list[tuple[str, frozenset[str]]]:
        return [(it.tunnel, it.forwards) for decision in self.decisions[since:] for it in decision.aborts]

    def transitions(self) -> list[tuple[str, str, str, Cause]]:
        return [(it.tunnel, it.old.value, it.new.value, it.cause) for made in self.decisions for it in made.transitions]

    def failovers(self) -> list[tuple[str, str, str, Cause]]:
        return [
            (it.forward, it.from_tunnel, it.to_tunnel, it.cause) for made in self.decisions for it in made.failovers
        ]
