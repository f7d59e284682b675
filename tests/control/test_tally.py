from __future__ import annotations

import pytest

from gateway.control.probes.answer import Answer
from gateway.control.tally import BOUNDS, Tally
from gateway.dataplane.ledger import Ledger
from gateway.model import Durations, ForwardSpec, ProbeOutcome


def answer(outcome: ProbeOutcome, took: float = 0.0, expiry: float | None = None) -> Answer:
    return Answer(outcome=outcome, sent_at=100.0, at=100.0 + took, expiry_at_unix=expiry)


def test_nothing_probed_is_nothing_said():
    stats = Tally().stats()
    assert (stats.durations, stats.failures, stats.expiries) == ({}, {}, {})


def test_answers_are_timed_and_what_was_not_asked_for_is_counted():
    tally = Tally()
    for outcome, took in (
        (ProbeOutcome.PASSED, 0.0005),
        (ProbeOutcome.PASSED, 0.25),
        (ProbeOutcome.ANSWERED, 9.0),
        (ProbeOutcome.FAILED, 0.8),
        (ProbeOutcome.LOCAL, 0.8),
    ):
        tally.add("a", "tcp://db:5432", answer(outcome, took))
    stats = tally.stats()
    counts = [0] * (len(BOUNDS) + 1)
    counts[0] = counts[BOUNDS.index(0.25)] = counts[-1] = 1
    durations = stats.durations["a", "tcp://db:5432"]
    assert durations == Durations(bounds=BOUNDS, counts=tuple(counts), total=pytest.approx(9.2505))
    assert stats.failures == {("a", "tcp://db:5432"): 2}


def test_tunnels_and_labels_are_kept_apart_and_a_copy_does_not_change():
    tally = Tally()
    tally.add("a", "x", answer(ProbeOutcome.FAILED))
    before = tally.stats()
    tally.add("b", "x", answer(ProbeOutcome.FAILED))
    tally.add("a", "y", answer(ProbeOutcome.FAILED))
    assert before.failures == {("a", "x"): 1}
    assert tally.stats().failures == {("a", "x"): 1, ("b", "x"): 1, ("a", "y"): 1}


def test_the_last_certificate_shown_counts():
    tally = Tally()
    tally.add("a", "x", answer(ProbeOutcome.PASSED, expiry=1.0))
    tally.add("a", "x", answer(ProbeOutcome.PASSED, expiry=2.0))
    tally.add("a", "x", answer(ProbeOutcome.FAILED))
    assert tally.stats().expiries == {("a", "x"): 2.0}


def test_the_bounds_are_those_of_dials():
    ledger = Ledger()
    tunnel = ledger.tunnel("a")
    ledger.lane(ledger.forward(ForwardSpec(name="f", ports=(), tunnels=())), tunnel)
    assert tunnel.histogram().bounds == BOUNDS
