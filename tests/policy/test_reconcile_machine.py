"""Reconcile under random evidence, clocks, forwards and tunnels: what must hold whatever happens, after every step."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.model import (
    AdminState,
    Cause,
    Endpoint,
    ForwardPolicy,
    ForwardSpec,
    Health,
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
from gateway.policy.health import TRANSITIONS
from gateway.policy.reconcile import Decision, next_due, step
from gateway.policy.selection import is_soft_down
from gateway.policy.state import initial

NAMES = "abc"
HOSTS = ("10.0.0.1", "10.0.0.2", "fd00::1", "db.example", "api.example")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1")
ALLOWED = {(old, new) for (old, _), new in TRANSITIONS.items() if old is not new}

tunnels = st.lists(
    st.builds(
        lambda rise, interval, delay: (rise, interval, delay),
        st.integers(1, 3),
        st.sampled_from([0.25, 1.0, 4.0]),
        st.sampled_from([0.0, 0.5, 30.0]),
    ),
    min_size=len(NAMES),
    max_size=len(NAMES),
)
forwards = st.lists(
    st.builds(
        lambda order, hosts, policy, down, grace: (tuple(order), hosts, policy, down, grace),
        st.lists(st.sampled_from(NAMES), unique=True, min_size=1),
        st.sampled_from(HOSTS),
        st.sampled_from(ForwardPolicy),
        st.sampled_from(TunnelDownAction),
        st.sampled_from([0.0, 0.5, 5.0]),
    ),
    min_size=1,
    max_size=4,
)
facts = st.builds(
    LinkFacts,
    index=st.integers(1, 3),
    up=st.sampled_from([True, True, True, False]),
    carrier=st.sampled_from([True, True, True, False]),
    mtu=st.just(1500),
    addresses=st.sampled_from([("10.9.0.1",), ("10.9.0.1",), ("10.9.0.1", "10.9.0.2"), ("10.9.0.2",), ()]),
)
pairs = st.frozensets(st.tuples(st.sampled_from([f"tun-{name}" for name in NAMES]), st.sampled_from(ADDRESSES)))
gaps = st.sampled_from([0.0, 0.001, 0.25, 0.5, 1.0, 3.0, 30.0, 299.0, 1000.0])


class Reconciling(RuleBasedStateMachine):
    """The controller's part is played by the rules; `riders` are the (tunnel, forward) pairs that may have sessions."""

    @initialize(tunnels=tunnels, forwards=forwards)
    def begin(self, tunnels, forwards):
        specs = tuple(
            TunnelSpec(
                name=name,
                kind=TunnelKind.INTERFACE,
                interface=f"tun-{name}",
                failback_delay=delay,
                health=HealthSettings(rise=rise, interval=interval, probes=()),
            )
            for name, (rise, interval, delay) in zip(NAMES, tunnels, strict=True)
        )
        self.forwards = {
            f"f{number}": ForwardSpec(
                name=f"f{number}",
                ports=tuple(
                    PortMap(listen=ListenAddress(None, 1000 * number + port), target=Endpoint(host, port))
                    for port in (1, 2)
                ),
                tunnels=order,
                policy=policy,
                on_tunnel_down=down,
                grace=grace,
            )
            for number, (order, host, policy, down, grace) in enumerate(forwards)
        }
        self.now = 100.0
        self.links: dict[str, LinkFacts] = {}
        self.unrouted: frozenset[tuple[str, str]] = frozenset()
        self.state = initial(tuple(self.forwards.values()), specs)
        self.before = self.state
        self.decision = Decision()

    # ---------------------------------------------------------------- what may happen

    @rule(gap=gaps)
    def time_passes(self, gap):
        self.now += gap
        self.take(TimePassed())

    @rule(name=st.sampled_from(NAMES), it=st.none() | facts, gap=gaps)
    def a_device_changes(self, name, it, gap):
        self.now += gap
        self.links.pop(f"tun-{name}", None)
        if it is not None:
            self.links[f"tun-{name}"] = it
        self.look()

    @rule()
    def all_devices_are_good(self):
        self.links = {
            f"tun-{name}": replace(
                self.links.get(f"tun-{name}", LinkFacts(index=1, up=True, carrier=True, mtu=1500)),
                up=True,
                carrier=True,
                addresses=("10.9.0.1",),
            )
            for name in NAMES
        }
        self.look()

    @rule(unrouted=pairs)
    def routes_change(self, unrouted):
        self.unrouted = unrouted
        self.look()

    @rule(
        names=st.dictionaries(
            st.sampled_from(["db.example", "api.example"]), st.sampled_from([("10.0.0.3",), ("fd00::1", "10.0.0.2")])
        )
    )
    def names_are_resolved(self, names):
        self.take(NamesSeen(addresses=names))

    @rule(
        name=st.sampled_from([*NAMES, "unheard-of"]),
        cause=st.sampled_from([None, None, Cause.PROBES, Cause.STALL, Cause.DRIVER]),
        first=st.booleans(),
        gap=gaps,
    )
    def something_is_concluded(self, name, cause, first, gap):
        self.now += gap
        self.take(Verdict(tunnel=name, cause=cause, first=first and cause is Cause.DRIVER))

    def look(self):
        self.take(KernelSeen(snapshot=KernelSnapshot(links=dict(self.links), unrouted=self.unrouted)))

    def take(self, evidence: Evidence):
        self.before = self.state
        self.state, self.decision = step(self.state, evidence, self.now)

    # ---------------------------------------------------------------- what must hold

    @invariant()
    def choices_are_fit(self):
        standings = {name: tunnel.standing for name, tunnel in self.state.tunnels.items()}
        for (name, target), choice in self.state.table.choices.items():
            order = self.forwards[name].tunnels
            lost = self.state.lost.get(target.host, frozenset())
            up = [
                it
                for it in order
                if standings[it].health is Health.UP and standings[it].admin is AdminState.ENABLED and it not in lost
            ]
            assert set(choice.tunnels) <= set(order)
            assert len(set(choice.tunnels)) == len(choice.tunnels)
            assert not set(choice.tunnels) & lost
            if choice.last_resort:
                assert not up
                assert len(choice.tunnels) == 1
                assert is_soft_down(standings[choice.tunnels[0]])
            else:
                assert set(choice.tunnels) <= set(up)
                assert bool(choice.tunnels) is bool(up)
            assert set(choice.tunnels) <= set(self.state.table.paths)

    @invariant()
    def the_table_is_whole(self):
        table = self.state.table
        if not self.state.is_open:
            assert table.generation == 0
            assert self.state.kernel is None or any(it.awaited is not None for it in self.state.tunnels.values())
            return
        assert set(table.choices) == {(name, ports.target) for name, it in self.forwards.items() for ports in it.ports}
        assert table.addresses == self.state.addresses
        for name, path in table.paths.items():
            assert path.ifindex == self.links[f"tun-{name}"].index

    @invariant()
    def lost_is_what_no_address_leads_to(self):
        if self.state.kernel is None:
            return
        for host, addresses in self.state.addresses.items():
            lost = {it for it in NAMES if all((f"tun-{it}", address) in self.unrouted for address in addresses)}
            assert self.state.lost.get(host, frozenset()) == lost

    @invariant()
    def a_table_is_made_when_something_differs(self):
        old, new = self.before.table, self.state.table
        assert (self.decision.table is None) is (new is old)
        if new is not old:
            assert self.decision.table is new
            assert new.generation == old.generation + 1
            assert replace(new, generation=0) != replace(old, generation=0)

    @invariant()
    def health_moves_along_the_table(self):
        moved = {
            name: (old.health.health, new.health.health)
            for name, new in self.state.tunnels.items()
            if (old := self.before.tunnels[name]).health.health is not new.health.health
        }
        assert {it.tunnel: (it.old, it.new) for it in self.decision.transitions} == moved
        assert set(moved.values()) <= ALLOWED
        for name, tunnel in self.state.tunnels.items():
            if tunnel.health.health is Health.UP:
                assert f"tun-{name}" in self.links
                assert tunnel.verdict is None
                assert tunnel.fact_cause is None

    @invariant()
    def aborts_hit_who_fell(self):
        tunnels = [it.tunnel for it in self.decision.aborts]
        assert len(set(tunnels)) == len(tunnels)
        for abort in self.decision.aborts:
            assert abort.forwards
            old, new = self.before.tunnels[abort.tunnel].health, self.state.tunnels[abort.tunnel].health
            for name in abort.forwards:
                forward = self.forwards[name]
                assert abort.tunnel in forward.tunnels
                assert forward.on_tunnel_down is not TunnelDownAction.KEEP
                if forward.on_tunnel_down is TunnelDownAction.ABORT:
                    assert old.health is not Health.UNKNOWN
                    assert new.health is Health.DOWN
            # a tunnel that is UP all along is nobody's prey
            assert (old.health, new.health) != (Health.UP, Health.UP)

    @invariant()
    def a_tunnel_that_can_be_used_has_no_debt_to_be_paid_by_new_sessions(self):
        for reprieve in self.state.reprieves:
            standing = self.state.tunnels[reprieve.tunnel].standing
            assert standing.health is Health.DOWN
            assert reprieve.forwards
            assert reprieve.revocable or not is_soft_down(standing)
            assert reprieve.until > self.now

    @invariant()
    def failovers_are_of_forwards_that_moved(self):
        assert len({it.forward for it in self.decision.failovers}) == len(self.decision.failovers)
        for it in self.decision.failovers:
            assert it.from_tunnel != it.to_tunnel
            assert self.before.active[it.forward] == it.from_tunnel
            assert self.state.active[it.forward] == it.to_tunnel
            choice = self.state.table.choices[it.forward, self.forwards[it.forward].ports[0].target]
            left = self.state.tunnels[it.from_tunnel].standing
            assert it.from_tunnel not in choice.tunnels or left.held or left.poor
            assert choice.tunnels[0] == it.to_tunnel
            assert it.cause not in {Cause.FIRST_GOOD, Cause.RECOVERED}

    @invariant()
    def time_makes_progress(self):
        due = next_due(self.state, self.now)
        if due is None:
            return
        if due <= self.now:  # a rise of one after a stumble: one more look
            state, _ = step(self.state, TimePassed(), self.now)
            after = next_due(state, self.now)
            assert after is None or after > self.now

    @invariant()
    def left_alone_it_comes_to_rest(self):
        state, now = self.state, self.now
        for _ in range(4 * len(NAMES) + 2 * len(state.reprieves) + 2):
            due = next_due(state, now)
            if due is None:
                break
            now = max(now, due)
            awaited = {name for name, tunnel in state.tunnels.items() if tunnel.awaited is not None}
            state, decision = step(state, TimePassed(), now)
            fell = {it.tunnel for it in decision.transitions if it.new is Health.DOWN}
            assert fell <= awaited, "time alone fells nothing but what is waited for"
        assert next_due(state, now) is None
        for name, tunnel in state.tunnels.items():
            good = tunnel.is_seen and tunnel.fact_cause is None and tunnel.verdict is None
            assert (tunnel.health.health is Health.UP) is good, name

    @precondition(lambda self: self.state.kernel is not None)
    @invariant()
    def what_is_known_already_changes_nothing(self):
        state, _ = step(self.state, TimePassed(), self.now)
        again: list[Evidence] = [
            TimePassed(),
            KernelSeen(snapshot=state.kernel),
            NamesSeen(addresses=dict(state.addresses)),
            *(
                Verdict(tunnel=name, cause=it.verdict, first=it.verdict is not None and it.awaited is not None)
                for name, it in state.tunnels.items()
            ),
        ]
        for evidence in again:
            after, decision = step(state, evidence, self.now)
            assert decision == Decision(), evidence
            assert after == state, evidence


Reconciling.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestReconciling = Reconciling.TestCase
