from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model import Endpoint, Health, HealthSettings, ProbeKind, ProbeOutcome, ProbeSpec
from gateway.policy.check import Check, heard, is_alone, is_large, passes, probed, settle, speaks_of_life
from gateway.policy.evidence import Probed
from gateway.policy.pulse import Pulse
from tests.policy.scenes import HEALTH, Target, http, icmp

PASSED, ANSWERED, FAILED, LOCAL = ProbeOutcome
PLAIN = Check(label="tcp://target", target=Target)
WEB = Check(label="http://target", target=Target, spec=http(Target))


def spec(kind: ProbeKind, *, size: int = 56) -> ProbeSpec:
    return ProbeSpec(label=kind, kind=kind, host="10.0.0.1", port=80, size=size)


@pytest.mark.parametrize(("outcome", "life"), [(PASSED, True), (ANSWERED, True), (FAILED, False), (LOCAL, False)])
def test_whoever_answers_lives(outcome: ProbeOutcome, life: bool):
    assert speaks_of_life(outcome) is life


@pytest.mark.parametrize("kind", ProbeKind)
def test_a_refused_port_is_there_another_status_is_not_what_was_asked_for(kind: ProbeKind):
    check = replace(PLAIN, spec=spec(kind))
    assert passes(check, PASSED)
    assert passes(check, ANSWERED) is (kind is ProbeKind.TCP)
    assert not passes(check, FAILED)
    assert not passes(check, LOCAL)
    assert passes(PLAIN, ANSWERED), "a forward's target is asked by TCP"


@pytest.mark.parametrize("kind", ProbeKind)
@pytest.mark.parametrize("size", [56, 999, 1000, 1472])
def test_large_is_a_large_echo_request(kind: ProbeKind, size: int):
    large = kind is ProbeKind.ICMP and size >= 1000
    assert is_large(spec(kind, size=size)) is large
    assert replace(PLAIN, spec=spec(kind, size=size)).is_large is large


def ended(outcome: ProbeOutcome, *, sent: float, at: float, rtt: float | None = None) -> Probed:
    return Probed(tunnel="a", label="any", target=Target, outcome=outcome, sent_at=sent, at=at, rtt=rtt)


@pytest.mark.parametrize(
    ("check", "outcome", "run", "loss"),
    [
        (PLAIN, PASSED, 1, 0),
        (PLAIN, ANSWERED, 1, 0),
        (PLAIN, FAILED, -1, 1),
        (PLAIN, LOCAL, 0, 0),
        (WEB, PASSED, 1, 0),
        (WEB, ANSWERED, -1, 1),
        (WEB, FAILED, -1, 1),
        (WEB, LOCAL, 0, 0),
    ],
)
def test_what_a_probe_makes_of_it(check: Check, outcome: ProbeOutcome, run: int, loss: int):
    after = probed(check, ended(outcome, sent=1.0, at=1.02, rtt=0.02), HEALTH)
    assert after.pulse.run == run
    assert after.quality.lost == loss
    assert after.quality.rtt == (0.02 if run > 0 else None)
    assert (after.last_at, after.last_outcome) == (1.02, outcome)
    assert after.health is Health.UNKNOWN, "that is for settle"


def test_trouble_of_our_own_is_no_sample():
    after = probed(PLAIN, ended(LOCAL, sent=1.0, at=1.0), HEALTH)
    assert (after.pulse, after.quality) == (PLAIN.pulse, PLAIN.quality)


@pytest.mark.parametrize(
    ("check", "last", "run"),
    [
        (PLAIN, None, 1),
        (PLAIN, FAILED, 1),
        (PLAIN, ANSWERED, 1),
        (WEB, FAILED, 1),
        (WEB, PASSED, 1),
        (WEB, ANSWERED, 0),
    ],
)
def test_traffic_speaks_for_the_port_not_against_another_answer(check: Check, last: ProbeOutcome | None, run: int):
    assert heard(replace(check, last_outcome=last), 5.0, HEALTH).pulse.run == run


# ---------------------------------------------------------------- health

LIVES = Pulse(run=5, alive_at=11.4, counted_at=11.4, awake_since=1.0)
SILENT = Pulse(run=-3, alive_at=9.0, counted_at=9.0, awake_since=1.0, silent_since=10.0)


def having(health: Health, pulse: Pulse) -> Check:
    return replace(PLAIN, health=health, since=1.0, pulse=pulse)


VERDICTS: dict[str, tuple[Check, Pulse, float, Health]] = {
    "never asked": (having(Health.UNKNOWN, Pulse()), LIVES, 11.4, Health.UNKNOWN),
    "the first answer": (having(Health.UNKNOWN, Pulse(run=1)), LIVES, 11.4, Health.UP),
    "one answer is not enough for what was down": (having(Health.DOWN, Pulse(run=1)), LIVES, 11.4, Health.DOWN),
    "rise answers are": (having(Health.DOWN, Pulse(run=2)), LIVES, 11.4, Health.UP),
    "silent, and the tunnel is not": (having(Health.UP, SILENT), LIVES, 11.4, Health.DOWN),
    "not long enough": (having(Health.UP, SILENT), LIVES, 11.399, Health.UP),
    "too few probes": (having(Health.UP, replace(SILENT, run=-2)), LIVES, 20.0, Health.UP),
    "it never answered": (having(Health.UNKNOWN, SILENT), LIVES, 11.4, Health.DOWN),
    "the tunnel never lived": (having(Health.UP, SILENT), Pulse(run=-3, silent_since=10.0), 11.4, Health.UP),
    "nor does the tunnel answer": (having(Health.UP, SILENT), replace(LIVES, alive_at=9.9), 11.4, Health.UP),
    "it did, but before that was a silence": (
        having(Health.UP, SILENT),
        replace(LIVES, alive_at=10.3),
        11.4,
        Health.UP,
    ),
    "it did, once the target was suspect": (
        having(Health.UP, SILENT),
        replace(LIVES, alive_at=10.31),
        11.4,
        Health.DOWN,
    ),
    "the tunnel is silent by now": (
        having(Health.UP, SILENT),
        Pulse(run=-3, alive_at=10.4, awake_since=1.0, silent_since=10.5),
        12.0,
        Health.UP,
    ),
    "the tunnel was interrupted": (having(Health.UP, SILENT), Pulse(alive_at=11.0), 11.4, Health.UP),
}


@pytest.mark.parametrize(("check", "tunnel", "now", "health"), VERDICTS.values(), ids=VERDICTS.keys())
def test_settle(check: Check, tunnel: Pulse, now: float, health: Health):
    after = settle(check, tunnel, HEALTH, now)
    assert after.health is health
    assert after.since == (check.since if health is check.health else now)
    if health is check.health:
        assert after is check


@pytest.mark.parametrize("health", Health)
def test_the_silence_of_the_tunnel_is_not_held_against_the_target(health: Health):
    awake = replace(LIVES, awake_since=11.0)
    after = settle(having(health, SILENT), awake, HEALTH, 20.0)
    assert (after.health, after.pulse) == (health, Pulse(alive_at=9.0))
    since_then = having(health, replace(SILENT, silent_since=11.1))
    assert settle(since_then, replace(awake, alive_at=13.0), HEALTH, 20.0).health is Health.DOWN


@pytest.mark.parametrize(
    ("check", "tunnel", "alone"),
    [
        (having(Health.UP, Pulse(run=1, alive_at=10.0)), LIVES, False),
        (having(Health.UP, SILENT), LIVES, True),
        (having(Health.UP, replace(SILENT, run=-2)), LIVES, False),
        (having(Health.UP, SILENT), replace(LIVES, alive_at=10.0), False),
        (having(Health.UP, SILENT), Pulse(), False),
        (having(Health.DOWN, Pulse(run=1, alive_at=10.0)), Pulse(), True),
    ],
)
def test_failures_of_its_own(check: Check, tunnel: Pulse, alone: bool):
    assert is_alone(check, tunnel, HealthSettings()) is alone


def test_a_spec_without_a_port_speaks_for_no_target():
    assert icmp("10.0.0.1").endpoint is None
    assert http(Target).endpoint == Endpoint(*Target)
