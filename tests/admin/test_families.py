"""Which series a scrape shows, and with which values."""

import dataclasses
import re
from pathlib import Path

import pytest

from gateway.admin.families import Facts, ReloadFacts, families
from gateway.admin.once import Once
from gateway.admin.stats import NothingProbed
from gateway.dataplane.messages import Stats
from gateway.model import AdminState, ControlView, Doubt, DriverState, Health, HoldResult
from tests.admin.fakes import FACTS, HELLO, HTTPS, LDAP, NOW_UNIX, UP, VIEW, forward, probe, tunnel

ROOT = Path(__file__).parents[2]

NAMES = {
    "gateway_connections_total": {"forward", "result"},
    "gateway_connections_active": {"forward", "tunnel"},
    "gateway_connections_closed_total": {"forward", "reason"},
    "gateway_connections_held": {"forward"},
    "gateway_holds_total": {"forward", "result"},
    "gateway_bytes_total": {"forward", "tunnel", "direction"},
    "gateway_connect_duration_seconds": {"tunnel"},
    "gateway_connect_failures_total": {"forward", "tunnel", "reason"},
    "gateway_hedges_total": {"forward", "result"},
    "gateway_forward_active_tunnel": {"forward", "tunnel"},
    "gateway_failovers_total": {"forward", "from_tunnel", "to_tunnel", "cause"},
    "gateway_failover_duration_seconds": set(),
    "gateway_failbacks_total": {"forward", "from_tunnel", "to_tunnel"},
    "gateway_last_resort_dials_total": {"forward"},
    "gateway_tunnel_up": {"tunnel", "kind"},
    "gateway_tunnel_state": {"tunnel", "state"},
    "gateway_tunnel_transitions_total": {"tunnel", "cause"},
    "gateway_tunnel_admin_state": {"tunnel", "state"},
    "gateway_tunnel_suspect": {"tunnel", "doubt"},
    "gateway_tunnel_hold_down_seconds": {"tunnel"},
    "gateway_tunnel_flaps": {"tunnel"},
    "gateway_tunnel_rtt_seconds": {"tunnel"},
    "gateway_tunnel_loss_ratio": {"tunnel"},
    "gateway_tunnel_mss_clamp": {"tunnel"},
    "gateway_tunnel_driver_state": {"tunnel", "state"},
    "gateway_tunnel_attempts_total": {"tunnel"},
    "gateway_tunnel_failures_total": {"tunnel", "reason"},
    "gateway_tunnel_bytes_total": {"tunnel", "direction"},
    "gateway_probe_duration_seconds": {"tunnel", "probe"},
    "gateway_probe_failures_total": {"tunnel", "probe"},
    "gateway_target_reachable": {"tunnel", "target"},
    "gateway_certificate_expiry_timestamp_seconds": {"tunnel", "certificate"},
    "gateway_accept_pauses_total": set(),
    "gateway_book_dropped_total": set(),
    "gateway_draining": set(),
    "gateway_config_last_reload_successful": set(),
    "gateway_config_last_reload_success_timestamp_seconds": set(),
    "gateway_event_loop_lag_seconds": set(),
    "gateway_build_info": {"version", "environment"},
}
"""The contract: every name with its labels."""

ALWAYS = {
    "gateway_draining",
    "gateway_config_last_reload_successful",
    "gateway_config_last_reload_success_timestamp_seconds",
    "gateway_event_loop_lag_seconds",
    "gateway_build_info",
}


def series(facts: Facts) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels; fails when one comes twice."""
    found: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in families(facts, version="1.2.3", environment="test"):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def of(facts: Facts, name: str) -> dict[tuple[str, ...], float]:
    """The samples called `name`, by their label values in the family's order."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in families(facts, version="1.2.3", environment="test")
        for sample in family.samples
        if sample.name == name
    }


def with_view(**changes: object) -> Facts:
    return dataclasses.replace(FACTS, view=dataclasses.replace(VIEW, **changes))


def test_names_and_labels_are_the_contract():
    found: dict[str, set[str]] = {}
    for name, labels in series(FACTS):
        plain = re.sub(r"_(bucket|sum|count)$", "", name) if "duration" in name else name
        found.setdefault(plain, set()).update({label for label, _ in labels} - {"le"})
    assert found == NAMES


def test_at_the_start_there_is_nothing_but_how_the_gateway_is():
    start = Facts(
        stats=Stats(),
        view=ControlView(),
        probes=NothingProbed(),
        once=Once(),
        now=160.0,
        reload=FACTS.reload,
        lag=0.0,
        draining=False,
    )
    assert {name for name, _ in series(start)} == ALWAYS


def test_no_series_before_its_first_count():
    assert of(FACTS, "gateway_connections_total") == {("hello", "ok"): 7, ("hello", "denied"): 1}
    assert of(FACTS, "gateway_connections_closed_total") == {("hello", "eof"): 4, ("hello", "tunnel_down"): 1}
    assert of(FACTS, "gateway_last_resort_dials_total") == {("hello",): 2}
    assert of(FACTS, "gateway_connect_failures_total") == {("hello", "zone-b", "timed_out"): 3}
    assert of(FACTS, "gateway_accept_pauses_total") == {(): 3}


def test_active_sessions_come_down_to_zero_rather_than_vanish():
    assert of(FACTS, "gateway_connections_active") == {("hello", "zone-a"): 2, ("hello", "zone-b"): 0}


def test_bytes_have_a_direction():
    assert of(FACTS, "gateway_bytes_total") == {
        ("hello", "zone-a", "to_target"): 120,
        ("hello", "zone-b", "to_target"): 10,
        ("hello", "zone-a", "to_client"): 2**53 + 1,
    }


def test_connect_durations_are_cumulative():
    assert of(FACTS, "gateway_connect_duration_seconds_bucket") == {
        ("zone-a", "0.01"): 5,
        ("zone-a", "0.1"): 5,
        ("zone-a", "1.0"): 6,
        ("zone-a", "+Inf"): 8,
    }
    assert of(FACTS, "gateway_connect_duration_seconds_count") == {("zone-a",): 8}
    assert of(FACTS, "gateway_connect_duration_seconds_sum") == {("zone-a",): 4.5}


@pytest.mark.parametrize("health", list(Health))
def test_a_tunnels_state_is_one_hot_and_up_says_the_same(health):
    facts = with_view(tunnels=(tunnel("zone-a", health),))
    states = of(facts, "gateway_tunnel_state")
    assert states == {("zone-a", state): float(state is health) for state in Health}
    assert of(facts, "gateway_tunnel_up") == {("zone-a", "interface"): float(health is Health.UP)}


def test_active_tunnel_of_each_forward_that_has_one():
    facts = with_view(forwards=(forward("hello"), forward("ldap", active=None)), failovers={}, failbacks={})
    assert of(facts, "gateway_forward_active_tunnel") == {("hello", "zone-a"): 1}


def test_a_tunnel_once_active_shows_zero_afterwards():
    facts = with_view(
        forwards=(forward("hello", active=None), forward("ldap")),
        failovers={
            ("hello", "zone-a", "zone-b", "carrier_lost"): 1,
            ("hello", "zone-b", "", "probes"): 1,  # to nobody
            ("ldap", "gone", "zone-a", "carrier_lost"): 1,  # a tunnel that the configuration no longer has
            ("removed", "zone-a", "zone-b", "carrier_lost"): 1,  # nor this forward
        },
        failbacks={("ldap", "zone-b", "zone-a"): 1},
    )
    assert of(facts, "gateway_forward_active_tunnel") == {
        ("hello", "zone-a"): 0,
        ("hello", "zone-b"): 0,
        ("ldap", "zone-a"): 1,
        ("ldap", "zone-b"): 0,
    }


def test_failovers_and_transitions():
    assert of(FACTS, "gateway_failovers_total") == {("hello", "zone-b", "zone-a", "carrier_lost"): 1}
    assert of(FACTS, "gateway_tunnel_transitions_total") == {("zone-b", "carrier_lost"): 2, ("zone-a", "first_good"): 1}
    assert of(FACTS, "gateway_failbacks_total") == {("hello", "zone-b", "zone-a"): 2}


def test_failover_times_are_a_histogram():
    assert of(FACTS, "gateway_failover_duration_seconds_bucket") == {("0.05",): 1, ("1.0",): 3, ("+Inf",): 3}
    assert of(FACTS, "gateway_failover_duration_seconds_count") == {(): 3}
    assert of(FACTS, "gateway_failover_duration_seconds_sum") == {(): 1.25}


# ---------------------------------------------------------------- what clients wait for, and races


def test_held_clients_come_down_to_zero_where_clients_once_waited():
    assert of(FACTS, "gateway_connections_held") == {("ldap",): 3, ("hello",): 0}
    none_waits = dataclasses.replace(FACTS, stats=Stats(held={"ldap": 0}, holds={("ldap", HoldResult.LEFT): 0}))
    assert of(none_waits, "gateway_connections_held") == {}


def test_holds_and_hedges_by_result():
    assert of(FACTS, "gateway_holds_total") == {("hello", "served"): 4}
    assert of(FACTS, "gateway_hedges_total") == {("hello", "won"): 1}


# ---------------------------------------------------------------- how tunnels are


@pytest.mark.parametrize("admin", list(AdminState))
def test_what_the_operator_wants_is_one_hot(admin):
    facts = with_view(tunnels=(tunnel("zone-a", admin=admin),))
    states = of(facts, "gateway_tunnel_admin_state")
    assert states == {("zone-a", state): float(state is admin) for state in AdminState}


def test_quality_of_a_tunnel_is_shown_while_it_is_known():
    assert of(FACTS, "gateway_tunnel_rtt_seconds") == {("zone-a",): 0.0121}
    assert of(FACTS, "gateway_tunnel_loss_ratio") == {("zone-a",): 0.25}
    assert of(FACTS, "gateway_tunnel_mss_clamp") == {("zone-a",): 1200}
    perfect = with_view(tunnels=(tunnel("zone-a", loss=0.0),))
    assert of(perfect, "gateway_tunnel_loss_ratio") == {("zone-a",): 0.0}


def test_doubts_and_holds_count_down_to_zero_and_stay():
    assert of(FACTS, "gateway_tunnel_suspect") == {("zone-a", "latency"): 1}
    assert of(FACTS, "gateway_tunnel_hold_down_seconds") == {("zone-a",): 18.25}
    assert of(FACTS, "gateway_tunnel_flaps") == {("zone-a",): 1}
    later = with_view(tunnels=(tunnel("zone-a", doubts=(Doubt.LOSS,)),))
    later = dataclasses.replace(later, once=FACTS.once.and_now(later.view))
    assert of(later, "gateway_tunnel_suspect") == {("zone-a", "latency"): 0, ("zone-a", "loss"): 1}
    assert of(later, "gateway_tunnel_hold_down_seconds") == {("zone-a",): 0}
    assert of(later, "gateway_tunnel_flaps") == {("zone-a",): 0}


def test_a_hold_down_that_is_over_is_not_negative():
    facts = with_view(tunnels=(tunnel("zone-a", hold_until=100.0),))
    assert of(facts, "gateway_tunnel_hold_down_seconds") == {("zone-a",): 0}


def test_a_scrape_that_shows_nothing_of_them_before_they_were():
    fresh = with_view(tunnels=(tunnel("zone-a"),))
    fresh = dataclasses.replace(fresh, once=Once().and_now(fresh.view))
    for name in ("suspect", "hold_down_seconds", "flaps"):
        assert of(fresh, f"gateway_tunnel_{name}") == {}


# ---------------------------------------------------------------- VPN clients


@pytest.mark.parametrize("state", list(DriverState))
def test_where_a_client_stands_is_one_hot_and_only_for_tunnels_that_there_are(state):
    drivers = {name: dataclasses.replace(UP, tunnel=name, state=state) for name in ("zone-a", "gone")}
    states = of(dataclasses.replace(FACTS, drivers=drivers), "gateway_tunnel_driver_state")
    assert states == {("zone-a", each): float(each is state) for each in DriverState}


def test_what_was_counted_of_clients():
    assert of(FACTS, "gateway_tunnel_attempts_total") == {("zone-a",): 1, ("zone-b",): 2}
    assert of(FACTS, "gateway_tunnel_failures_total") == {("zone-b", "wrong_password"): 2}
    assert of(FACTS, "gateway_tunnel_bytes_total") == {("zone-a", "transmitted"): 1500, ("zone-a", "received"): 2.5e6}
    assert of(FACTS, "gateway_book_dropped_total") == {(): 4}


def test_of_a_bundle_of_certificates_the_first_end_counts():
    assert of(FACTS, "gateway_certificate_expiry_timestamp_seconds") == {
        ("zone-a", "ca"): NOW_UNIX + 3600,
        ("zone-a", "client"): NOW_UNIX - 60,
        ("zone-a", HTTPS): 1_800_000_000.0,
    }


# ---------------------------------------------------------------- probes and targets


def test_probes_by_their_label():
    label = f"tcp://{HELLO}"
    assert of(FACTS, "gateway_probe_duration_seconds_bucket") == {
        ("zone-a", label, "0.01"): 8,
        ("zone-a", label, "0.1"): 9,
        ("zone-a", label, "+Inf"): 9,
    }
    assert of(FACTS, "gateway_probe_duration_seconds_count") == {("zone-a", label): 9}
    assert of(FACTS, "gateway_probe_duration_seconds_sum") == {("zone-a", label): 0.2}
    assert of(FACTS, "gateway_probe_failures_total") == {("zone-a", f"tcp://{LDAP}"): 3}


def test_the_matrix_of_what_can_be_reached_leaves_out_what_is_not_known():
    assert of(FACTS, "gateway_target_reachable") == {("zone-a", str(HELLO)): 1, ("zone-a", str(LDAP)): 0}


def test_of_several_probes_of_a_target_one_answer_is_enough():
    probes = (probe(HELLO, Health.DOWN, label=HTTPS), probe(HELLO), probe(LDAP, Health.DOWN), probe(LDAP, Health.DOWN))
    facts = with_view(tunnels=(tunnel("zone-a", probes=probes),))
    assert of(facts, "gateway_target_reachable") == {("zone-a", str(HELLO)): 1, ("zone-a", str(LDAP)): 0}


@pytest.mark.parametrize("yes", [True, False])
def test_how_the_gateway_is(yes):
    facts = dataclasses.replace(FACTS, draining=yes, reload=ReloadFacts(successful=yes, success_at_unix=5.5))
    assert of(facts, "gateway_draining") == {(): float(yes)}
    assert of(facts, "gateway_config_last_reload_successful") == {(): float(yes)}
    assert of(facts, "gateway_config_last_reload_success_timestamp_seconds") == {(): 5.5}
    assert of(facts, "gateway_event_loop_lag_seconds") == {(): 0.0125}
    assert of(facts, "gateway_build_info") == {("1.2.3", "test"): 1}


def test_every_metric_is_documented_and_nothing_else_is():
    documented = set(re.findall(r"^\| `(gateway_\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    assert documented == set(NAMES)
