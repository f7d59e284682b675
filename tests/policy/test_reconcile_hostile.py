"""Reconcile under all evidence that there is, late, early, repeated and contradictory: what must hold in every step.

The kernel's part has a machine of its own (`test_reconcile_machine`); here devices are good most of the time.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.model import (
    AdminState,
    Cause,
    CloseReason,
    Doubt,
    Endpoint,
    Failback,
    ForwardPolicy,
    ForwardSpec,
    Health,
    HealthSettings,
    KernelSnapshot,
    LinkFacts,
    ListenAddress,
    PortMap,
    ProbeOutcome,
    ProbeSpec,
    TunnelDownAction,
    TunnelSpec,
    WhenDown,
)
from gateway.policy.aims import label_of
from gateway.policy.evidence import (
    Connected,
    Counted,
    Doubted,
    Drilled,
    Evidence,
    Heard,
    Intent,
    KernelSeen,
    LargeLost,
    NamesSeen,
    NothingToShed,
    Probed,
    ReturnNow,
    TimePassed,
    Verdict,
)
from gateway.policy.health import TRANSITIONS
from gateway.policy.reconcile import Decision, next_due, step
from gateway.policy.selection import is_soft_down
from gateway.policy.state import initial
from tests.policy.probing import conversation
from tests.policy.scenes import GONE, GOOD, HEALTH, LINK_DOWN, REMADE, http, icmp, probed_scene, probed_tunnel, tunnel

NAMES = "abc"
TARGETS = (Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80), Endpoint("10.0.0.2", 81), Endpoint("db.example", 5432))
HOSTS = ("10.0.0.1", "10.0.0.2")
PROBES = (http(TARGETS[0]), icmp("10.0.0.9"), icmp("10.0.0.9", size=1400))
ALLOWED = {(old, new) for (old, _), new in TRANSITIONS.items() if old is not new}
VERDICTS = {Cause.PROBES, Cause.STALL}

names = st.sampled_from(NAMES)
anybody = st.sampled_from([*NAMES, "unheard-of"])
forward_names = st.sampled_from(["f0", "f1", "f2", "unheard-of"])
targets = st.sampled_from(TARGETS)
gaps = st.sampled_from([0.0, 0.001, 0.05, 0.3, 0.5, 1.0, 1.4, 5.0, 30.0])
ages = st.sampled_from([0.0, 0.001, 0.05, 0.3, 0.8, 1.4, 2.0, 60.0])

health_settings = st.builds(
    HealthSettings,
    rise=st.integers(1, 3),
    fall=st.integers(1, 4),
    interval=st.sampled_from([0.2, 1.0, 5.0]),
    reliability=st.integers(1, 2),
    failure_latency=st.none() | st.just(0.2),
    failure_loss=st.none() | st.just(0.3),
    probes=st.sampled_from([None, None, (), PROBES[:1], PROBES]),
)
tunnels = st.tuples(*(st.tuples(health_settings, st.sampled_from([0.0, 30.0])) for _ in NAMES))
forwards = st.lists(
    st.builds(
        ForwardSpec,
        name=st.just(""),
        ports=st.lists(targets, unique=True, min_size=1, max_size=2).map(
            lambda chosen: tuple(PortMap(listen=ListenAddress(None, 1), target=target) for target in chosen)
        ),
        tunnels=st.permutations(NAMES).flatmap(lambda order: st.integers(1, 3).map(lambda n: tuple(order[:n]))),
        policy=st.sampled_from(ForwardPolicy),
        on_tunnel_down=st.sampled_from(TunnelDownAction),
        grace=st.sampled_from([0.0, 5.0]),
        hold_timeout=st.sampled_from([0.0, 0.0, 5.0]),
        when_down=st.sampled_from(WhenDown),
        failback=st.sampled_from(Failback),
        failback_rate=st.sampled_from([0.0, 0.5, 3.0]),
    ),
    min_size=2,
    max_size=3,
)


class Hostile(RuleBasedStateMachine):
    """The rules are everybody who brings evidence. `heard` has by tunnel the latest sign of life from traffic."""

    @initialize(tunnels=tunnels, forwards=forwards)
    def begin(self, tunnels: tuple[tuple[HealthSettings, float], ...], forwards: list[ForwardSpec]):
        specs: tuple[TunnelSpec, ...] = tuple(
            replace(tunnel(name, delay=delay), health=health)
            for name, (health, delay) in zip(NAMES, tunnels, strict=True)
        )
        self.forwards = {f"f{number}": replace(it, name=f"f{number}") for number, it in enumerate(forwards)}
        self.now = 100.0
        self.links: dict[str, LinkFacts] = {f"tun-{name}": GOOD for name in NAMES}
        self.unrouted: frozenset[tuple[str, str]] = frozenset()
        self.heard: dict[str, float] = {}
        self.state = initial(tuple(self.forwards.values()), specs)
        self.before, self.decision, self.evidence = self.state, Decision(), TimePassed()
        self.look()

    def take(self, evidence: Evidence):
        self.before, self.evidence = self.state, evidence
        self.state, self.decision = step(self.state, evidence, self.now)

    # ---------------------------------------------------------------- what may happen

    @rule(gap=gaps)
    def time_passes(self, gap: float):
        self.now += gap
        self.take(TimePassed())

    @rule()
    def the_next_moment_comes(self):
        due = next_due(self.state, self.now)
        if due is not None:
            self.now = max(self.now, due)
            self.take(TimePassed())

    @rule(name=names, facts=st.sampled_from([GOOD, GOOD, LINK_DOWN, GONE, REMADE]), gap=gaps)
    def a_device_changes(self, name: str, facts: LinkFacts | None, gap: float):
        self.now += gap
        self.links.pop(f"tun-{name}", None)
        if facts is not None:
            self.links[f"tun-{name}"] = facts
        self.look()

    @rule(pairs=st.frozensets(st.tuples(st.sampled_from(["tun-a", "tun-b"]), st.sampled_from(HOSTS))))
    def routes_change(self, pairs: frozenset[tuple[str, str]]):
        self.unrouted = pairs
        self.look()

    @rule(addresses=st.sampled_from([("10.0.0.7",), HOSTS]), own=st.booleans())
    def names_are_resolved(self, addresses: tuple[str, ...], own: bool):
        through = {("a", "db.example"): ("10.9.9.9",)} if own else {}
        self.take(NamesSeen(addresses={"db.example": addresses}, through=through))

    @rule(
        name=anybody,
        what=targets | st.sampled_from(PROBES),
        outcome=st.sampled_from(ProbeOutcome),
        sent=ages,
        lateness=ages,
        gap=gaps,
    )
    def a_probe_ends(self, name: str, what: Endpoint | ProbeSpec, outcome: ProbeOutcome, sent, lateness, gap):
        self.now += gap
        self.take(self.probed(name, what, outcome, sent_at=self.now - sent - lateness, at=self.now - lateness))

    @rule(name=names, what=targets, outcome=st.sampled_from([ProbeOutcome.PASSED, ProbeOutcome.FAILED]))
    def a_target_goes_on_like_this(self, name: str, what: Endpoint, outcome: ProbeOutcome):
        """For as long as it takes to be believed; every step is looked at."""
        for _ in range(8):
            self.now += 0.25
            self.take(self.probed(name, what, outcome, sent_at=self.now - 0.02, at=self.now))
            self.check_all()

    @rule(name=names, outcome=st.sampled_from([ProbeOutcome.PASSED, ProbeOutcome.FAILED]))
    def all_that_is_asked_goes_on_like_this(self, name: str, outcome: ProbeOutcome):
        for number in range(12):
            self.now += 0.25
            for aim in self.state.plans[name].aims:
                if number % 4 == 0 or outcome is ProbeOutcome.FAILED:
                    what = aim.spec.endpoint if aim.spec.label.startswith("tcp") else aim.spec
                    assert what is not None
                    self.take(self.probed(name, what, outcome, sent_at=self.now - 0.02, at=self.now))
                    self.check_all()

    @rule(name=anybody, what=st.none() | targets | st.just(Endpoint("10.99.0.1", 1)), age=ages, gap=gaps)
    def traffic_progresses(self, name: str, what: Endpoint | None, age: float, gap: float):
        self.now += gap
        self.heard[name] = max(self.now - age, self.heard.get(name, 0.0))
        self.take(Heard(tunnel=name, target=what, at=self.now - age))

    @rule(name=anybody, doubt=st.sampled_from(Doubt), age=ages, what=st.none() | targets)
    def something_is_doubted(self, name: str, doubt: Doubt, age: float, what: Endpoint | None):
        self.take(Doubted(tunnel=name, doubt=doubt, since=self.now - age, target=what))

    @rule(name=names, sent=st.integers(0, 20), received=st.sampled_from([0, 0, 0, 1]))
    def devices_are_counted(self, name: str, sent: int, received: int):
        self.now += 1.0
        counters = self.state.tunnels[name].counters
        before = (0, 0) if counters is None else (counters.transmitted, counters.received)
        self.take(Counted(at=self.now, packets={name: (before[0] + sent, before[1] + received), "unheard-of": (1, 1)}))

    @rule(name=anybody, mss=st.sampled_from([100, 536, 1188, 1200, 1448]))
    def segments_vanish(self, name: str, mss: int):
        self.take(LargeLost(tunnel=name, at=self.now, mss=mss))

    @rule(name=anybody, cause=st.sampled_from([None, None, Cause.DRIVER]), first=st.booleans())
    def a_vpn_client_speaks(self, name: str, cause: Cause | None, first: bool):
        self.take(Verdict(tunnel=name, cause=cause, first=first))

    @rule(name=anybody, admin=st.sampled_from(AdminState), seconds=st.sampled_from([None, -1.0, 0.0, 5.0]))
    def the_operator_wishes(self, name: str, admin: AdminState, seconds: float | None):
        self.take(Intent(tunnel=name, admin=admin, until=None if seconds is None else self.now + seconds))

    @rule(name=anybody, seconds=st.sampled_from([None, -1.0, 0.0, 5.0]))
    def the_operator_drills(self, name: str, seconds: float | None):
        self.take(Drilled(tunnel=name, until=None if seconds is None else self.now + seconds))

    @rule(tunnels=st.frozensets(anybody), forwards=st.frozensets(forward_names))
    def the_operator_will_not_wait(self, tunnels: frozenset[str], forwards: frozenset[str]):
        self.take(ReturnNow(tunnels=tunnels, forwards=forwards))

    @rule(forward=forward_names, name=anybody)
    def the_data_plane_reports(self, forward: str, name: str):
        self.take(NothingToShed(forward=forward, tunnel=name))
        self.take(Connected(forward=forward, tunnel=name, at=self.now))

    def look(self):
        self.take(KernelSeen(snapshot=KernelSnapshot(links=dict(self.links), unrouted=self.unrouted)))

    def probed(
        self, name: str, what: Endpoint | ProbeSpec, outcome: ProbeOutcome, *, sent_at: float, at: float
    ) -> Probed:
        is_spec = isinstance(what, ProbeSpec)
        return Probed(
            tunnel=name,
            label=what.label if is_spec else label_of(what),
            target=what.endpoint if is_spec else what,
            outcome=outcome,
            sent_at=sent_at,
            at=at,
            rtt=at - sent_at,
        )

    # ---------------------------------------------------------------- what must hold

    def check_all(self):
        self.choices_are_fit()
        self.a_table_is_made_when_something_differs()
        self.health_moves_along_the_table()
        self.no_verdict_falls_while_traffic_progresses()
        self.aborts_have_a_reason()
        self.moves_are_of_forwards_that_moved()
        self.checks_are_known_by_what_may_become_of_them()

    @invariant()
    def choices_are_fit(self):
        standings = {name: it.standing for name, it in self.state.tunnels.items()}
        for (name, target), choice in self.state.table.choices.items():
            forward = self.forwards[name]
            lost = self.state.lost.get(target.host, frozenset())
            dead = self.state.dead.get(target, frozenset())
            up = [
                it
                for it in forward.tunnels
                if standings[it].health is Health.UP and standings[it].is_wanted and it not in lost
            ]
            answering = [it for it in up if it not in dead]
            assert len(set(choice.tunnels)) == len(choice.tunnels)
            assert set(choice.tunnels) <= set(self.state.table.paths)
            if answering:
                assert not choice.last_resort
                assert choice.tunnels
                assert set(choice.tunnels) <= set(answering)
            elif up:
                assert choice.last_resort
                assert set(choice.tunnels) <= set(up)
            elif choice.tunnels:
                (only,) = choice.tunnels
                assert choice.last_resort
                assert is_soft_down(standings[only])
                assert forward.hold_timeout == 0
                assert forward.when_down is WhenDown.RESET

    @invariant()
    def a_table_is_made_when_something_differs(self):
        old, new = self.before.table, self.state.table
        assert (self.decision.table is None) is (new is old)
        if new is not old:
            assert new.generation == old.generation + 1
            assert replace(new, generation=0) != replace(old, generation=0)
        assert (self.decision.plans is None) is (self.state.plans == self.before.plans)

    @invariant()
    def health_moves_along_the_table(self):
        moved = {
            name: (old.health.health, new.health.health)
            for name, new in self.state.tunnels.items()
            if (old := self.before.tunnels[name]).health.health is not new.health.health
        }
        assert {it.tunnel: (it.old, it.new) for it in self.decision.transitions if it.target is None} == moved
        assert set(moved.values()) <= ALLOWED
        for it in self.decision.transitions:
            assert it.evidence
            assert it.evidence_at is None or it.evidence_at <= self.now
            assert it.target is None or it.cause in {Cause.TARGET_SILENT, Cause.RECOVERED}

    @invariant()
    def no_verdict_falls_while_traffic_progresses(self):
        for it in self.decision.transitions:
            if it.target is None and it.new is Health.DOWN and it.cause in VERDICTS:
                assert self.now - self.heard.get(it.tunnel, 0.0) >= HEALTH.down_after

    @invariant()
    def aborts_have_a_reason(self):
        for abort in self.decision.aborts:
            assert abort.forwards
            assert all(abort.tunnel in self.forwards[name].tunnels for name in abort.forwards)
            old, new = self.before.tunnels[abort.tunnel], self.state.tunnels[abort.tunnel]
            if abort.reason is CloseReason.DRAIN:
                assert (old.admin is AdminState.DISABLED, new.admin is AdminState.DISABLED) == (False, True)
                continue
            for name in abort.forwards:
                assert self.forwards[name].on_tunnel_down is not TunnelDownAction.KEEP
                if self.forwards[name].on_tunnel_down is TunnelDownAction.ABORT:
                    assert new.health.health is Health.DOWN or new.drill_until is not None

    @invariant()
    def moves_are_of_forwards_that_moved(self):
        moves = [*self.decision.failovers, *self.decision.returns]
        assert len({it.forward for it in moves}) == len(moves)
        for it in moves:
            assert it.from_tunnel != it.to_tunnel
            assert self.before.active[it.forward] == it.from_tunnel
            assert self.state.active[it.forward] == it.to_tunnel
        for it in self.decision.failovers:
            assert it.cause not in {Cause.FIRST_GOOD, Cause.RECOVERED}
            assert it.evidence_at <= self.now
        for it in self.decision.returns:
            order = self.forwards[it.forward].tunnels
            assert order.index(it.to_tunnel) < order.index(it.from_tunnel)
        for batch in self.decision.sheds:
            assert batch.sessions >= 1
            assert self.forwards[batch.forward].failback_rate > 0
            assert self.state.active[batch.forward] != batch.tunnel, "what new sessions take is not what is shed"

    @invariant()
    def checks_are_known_by_what_may_become_of_them(self):
        for it in self.state.tunnels.values():
            assert it.checks.fresh == frozenset()
            assert it.checks.down == {one.label for one in it.checks if one.health is Health.DOWN}
            silent = {one.label for one in it.checks if one.pulse.silent_since is not None}
            assert it.checks.silent == silent - it.checks.down
        dead = {(target, name) for target, tunnels in self.state.dead.items() for name in tunnels}
        assert dead == {(target, name) for name, it in self.state.tunnels.items() for target in it.checks.dead()}

    @invariant()
    def time_makes_progress(self):
        state, _ = step(self.state, TimePassed(), self.now)
        due = next_due(state, self.now)
        assert due is None or due > self.now

    @invariant()
    def left_alone_it_comes_to_rest(self):
        """Sheds go on as long as somebody is there to be moved, so they are told that nobody is."""
        state, now = self.state, self.now
        for _ in range(40):
            for forward, name in state.sheds:
                state, _ = step(state, NothingToShed(forward=forward, tunnel=name), now)
            due = next_due(state, now)
            if due is None:
                return
            now = max(now, due)
            state, _ = step(state, TimePassed(), now)
        raise AssertionError(f"still waiting for {next_due(state, now)} at {now}")

    @precondition(lambda self: not isinstance(self.evidence, Probed | Counted | LargeLost))
    @invariant()
    def what_is_known_already_changes_nothing(self):
        """A probe counts in the quality and a reading from the last; all else says nothing when it is said again."""
        state, _ = step(self.state, TimePassed(), self.now)
        state, _ = step(state, TimePassed(), self.now)
        after, decision = step(state, self.evidence, self.now)
        if isinstance(self.evidence, ReturnNow | Drilled | Intent) and after != state:
            return  # they may have run out meanwhile, and be new
        assert decision == Decision()
        assert after == state


Hostile.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestHostile = Hostile.TestCase


# ---------------------------------------------------------------- flaps


@given(periods=st.lists(st.tuples(st.floats(0.1, 20.0), st.floats(0.1, 20.0)), min_size=1, max_size=20))
@settings(max_examples=4, deadline=None)
def test_a_path_that_flaps_makes_no_more_transitions_than_patience_allows(periods: list[tuple[float, float]]):
    """For ten minutes the path of a works and is silent by turns, over and over; b always works."""
    edges = [0.0]
    while edges[-1] < 600.0:
        for works, fails in periods:
            edges += [edges[-1] + works, edges[-1] + works + fails]
    edge = 0

    def lost(sent_at: float) -> bool:
        nonlocal edge
        while edge + 1 < len(edges) and edges[edge + 1] <= sent_at:
            edge += 1
        return edge % 2 == 1

    scene = probed_scene(tunnels=(probed_tunnel("a"), probed_tunnel("b")))
    moments: dict[Health, list[float]] = {Health.UP: [], Health.DOWN: []}
    for ended in conversation(lost, HEALTH, until=600.0, phase=0.5):
        if ended.is_answered:
            scene.answers("a", at=ended.at)
        else:
            scene.fails("a", sent=ended.sent_at)
    for made in scene.decisions:
        for it in made.transitions:
            if it.tunnel == "a":
                moments[it.new].append(it.at)
    least = HEALTH.down_after + 0.9 * HEALTH.interval * (HEALTH.rise - 1)
    for of_one_kind in moments.values():
        assert all(later - earlier >= least for earlier, later in pairwise(of_one_kind))
    assert len(scene.failovers()) <= 6, "the hold-down doubles: after the fifth it is eight minutes"
