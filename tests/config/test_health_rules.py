"""What the fixtures of whole files do not reach: warnings, and when the kernel is asked at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import build, health_rules, percents
from gateway.config.tunnel_tables import HealthTable
from gateway.model import HealthSettings
from gateway.policy import check

ICMP = {"probes": ["tcp://10.0.0.1:80", "icmp://10.0.0.1"]}


def table(keys: dict[str, Any]) -> HealthTable:
    return HealthTable.model_validate(keys)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"reliability": 2}, ["health.reliability"]),
        ({"reliability": 1}, []),
        ({"reliability": 2, "probes": ["tcp://a:1", "tcp://b:1"]}, []),
        ({"probes": ["icmp://a#size=1400"]}, ["health.probes"]),
        ({"probes": ["icmp://a#size=1400", "icmp://a"]}, []),
        ({"probes": []}, []),
        ({"failure_latency": "800ms"}, ["health.failure_latency"]),
        ({"failure_latency": "799ms"}, []),
        ({"failure_latency": "1s", "timeout": "1.2s"}, []),
    ],
)
def test_what_comes_to_nothing_is_worth_a_warning(keys, expected):
    found = list(health_rules.vain(table(keys), keys, ()))
    assert [wrong.key for wrong in found] == expected


@given(st.integers(0, 65_507))
def test_reliability_counts_what_the_verdict_counts(size):
    label = f"icmp://a#size={size}"
    keys = {"probes": [label, "tcp://a:1"], "reliability": 2}
    made = table(keys)
    assert made.probes is not None
    refused = [wrong.key for wrong in health_rules.broken(made, keys, ())] == ["health.reliability"]
    assert refused is check.is_large(made.probes[0])


def test_what_stands_elsewhere_is_judged_there():
    everything_wrong = table(
        {"timeout": "2s", "suspect_after": "3s", "fast_interval": "2s", "reliability": 3, "failure_loss": "1%"} | ICMP
    )
    assert not list(health_rules.broken(everything_wrong, {"rise"}, ()))
    assert not list(health_rules.vain(everything_wrong, {"rise"}, ()))
    assert not list(health_rules.impossible(everything_wrong, {"rise"}, lambda: False))


def test_a_key_that_is_wrong_is_in_no_rule():
    keys = {"timeout": "2s"}
    assert [wrong.key for wrong in health_rules.broken(table(keys), keys, ())] == ["health.timeout"]
    assert not list(health_rules.broken(table(keys), keys, {"down_after"}))


@pytest.mark.parametrize("keys", [{}, {"probes": []}, {"probes": ["tcp://10.0.0.1:80", "dns://10.0.0.1/a"]}])
def test_the_kernel_is_not_asked_for_nothing(keys):
    def asked() -> bool:
        pytest.fail("asked")

    assert not list(health_rules.impossible(table(keys), keys, asked))


def test_only_the_probe_that_cannot_be_sent_is_named():
    (wrong,) = health_rules.impossible(table(ICMP), ICMP, lambda: False)
    assert wrong.found == '"icmp://10.0.0.1"'
    assert "ping_group_range" in wrong.expected
    assert "CAP_NET_RAW" in wrong.expected
    assert not list(health_rules.impossible(table(ICMP), ICMP, lambda: True))


@pytest.mark.parametrize("text", ["0.1%", "20%", "33.333%", "100%"])
def test_recovery_is_near_failure_where_nothing_else_is_said(text):
    made = build.health(table({"failure_loss": text, "failure_latency": "200ms"}))
    assert made.failure_loss == percents.parse(text)
    assert made.recovery_loss == pytest.approx(0.8 * percents.parse(text))
    assert (made.failure_latency, made.recovery_latency) == (0.2, 0.16)
    assert build.health(table({})) == HealthSettings()
