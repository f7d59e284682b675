from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Doubt, HealthSettings
from gateway.policy.quality import Quality, answered, judge, lost


def after(script: str) -> Quality:
    """ "." is an answer after 20 ms, "x" a loss."""
    quality = Quality()
    for word in script:
        quality = answered(quality, 0.02) if word == "." else lost(quality)
    return quality


@pytest.mark.parametrize(
    ("script", "loss"),
    [
        ("", None),
        ("x" * 4, None),
        ("x....", 0.2),
        ("xxxxx", 1.0),
        ("." * 20, 0.0),
        ("x" * 20 + "." * 20, 0.0),
        ("." * 30 + "xxxxx", 0.25),
        ("xxxxx" + "." * 15, 0.25),
        ("xxxxx" + "." * 16, 0.2),
    ],
)
def test_loss_is_that_of_the_last_twenty_and_not_of_fewer_than_five(script: str, loss: float | None):
    assert after(script).loss == loss


def test_a_new_round_trip_is_believed_by_an_eighth():
    quality = answered(Quality(), 0.1)
    assert quality.rtt == 0.1
    assert answered(quality, 0.9).rtt == pytest.approx(0.2)
    assert answered(quality, None).rtt == 0.1, "not measured"
    assert lost(quality).rtt == 0.1


LATENCY = HealthSettings(failure_latency=0.2, recovery_latency=0.1)
LOSS = HealthSettings(failure_loss=0.3, recovery_loss=0.1)


@pytest.mark.parametrize(
    ("settings", "quality", "before", "now"),
    [
        (LATENCY, Quality(rtt=0.2), set(), set()),
        (LATENCY, Quality(rtt=0.21), set(), {Doubt.LATENCY}),
        (LATENCY, Quality(rtt=0.15), set(), set()),
        (LATENCY, Quality(rtt=0.15), {Doubt.LATENCY}, {Doubt.LATENCY}),
        (LATENCY, Quality(rtt=0.1), {Doubt.LATENCY}, set()),
        (LATENCY, Quality(), {Doubt.LATENCY}, {Doubt.LATENCY}),
        (LOSS, after("." * 14 + "x" * 6), set(), set()),
        (LOSS, after("." * 13 + "x" * 7), set(), {Doubt.LOSS}),
        (LOSS, after("." * 17 + "x" * 3), {Doubt.LOSS}, {Doubt.LOSS}),
        (LOSS, after("." * 18 + "x" * 2), {Doubt.LOSS}, set()),
        (HealthSettings(failure_latency=0.2), Quality(rtt=0.2), {Doubt.LATENCY}, set()),
        (HealthSettings(), Quality(rtt=9.0, lost=(1 << 20) - 1, probes=20), set(), set()),
        (HealthSettings(), Quality(rtt=9.0), {Doubt.LATENCY, Doubt.LOSS}, set()),
        (
            HealthSettings(failure_latency=0.2, failure_loss=0.3),
            Quality(rtt=1.0, lost=0b11111, probes=5),
            set(),
            {Doubt.LATENCY, Doubt.LOSS},
        ),
    ],
)
def test_thresholds_have_hysteresis(settings: HealthSettings, quality: Quality, before: set[Doubt], now: set[Doubt]):
    assert judge(quality, settings, frozenset(before)) == now


@given(script=st.text(".x", max_size=60))
def test_loss_is_the_share_of_the_window(script: str):
    window = script[-20:]
    expected = window.count("x") / len(window) if len(window) >= 5 else None
    assert after(script).loss == expected
