"""Documents: their keys are those of the contract, they are JSON, and moments never leave."""

import json
from dataclasses import replace
from typing import get_args, get_origin, get_type_hints, is_typeddict

import pytest

from gateway.admin import documents
from gateway.admin.describe import Picture, age, drill, left, speaks_for
from gateway.admin.rates import Rates
from gateway.model import ControlView, Endpoint, ForwardPolicy, Health
from tests.admin.fakes import DRIVERS, EXPIRIES, HELLO, NOW_UNIX, RATES, REPORT, STATS, VIEW, forward, probe, tunnel


def picture(view: ControlView = VIEW, **more: object) -> Picture:
    return Picture(**{"view": view, "stats": STATS, "rates": RATES, "now": 160.0, **more})


def status(**more: object) -> dict:
    return json.loads(picture(**more).status(version="1.2.3", environment="test", phase="running"))


def conforms(value: object, shape: object) -> bool:
    """Whether a decoded JSON value is of the shape that a TypedDict says."""
    if is_typeddict(shape):
        hints = get_type_hints(shape)
        return (
            isinstance(value, dict)
            and set(value) == set(hints)
            and all(map(conforms, value.values(), [hints[k] for k in value]))
        )
    match get_origin(shape), get_args(shape):
        case (None, _):
            return isinstance(value, (int, float) if shape is float else shape)
        case (origin, [item]) if origin is list:
            return isinstance(value, list) and all(conforms(each, item) for each in value)
        case (origin, [_, item]) if origin is dict:
            return isinstance(value, dict) and all(conforms(each, item) for each in value.values())
        case (_, choices):
            return any(conforms(value, choice) for choice in choices)


def test_a_status_is_what_its_type_says():
    assert conforms(status(), documents.StatusDocument)


def test_a_status_with_vpn_clients_is_what_its_type_says():
    document = status(drivers=DRIVERS, expiries=EXPIRIES, now_unix=NOW_UNIX)
    assert conforms(document, documents.StatusDocument)
    up, refused = (each["driver"] for each in document["tunnels"])
    assert (up["since_seconds"], up["server"], up["addresses"]) == (60.0, "198.51.100.7:1194", ["10.8.0.2"])
    assert (up["transmitted"], up["received"], up["failure"], up["retry_in_seconds"]) == (1500, 2_500_000, None, None)
    assert (refused["attempts"], refused["retry_in_seconds"]) == (2, 30.0)
    assert refused["failure"] == {
        "reason": "wrong_password",
        "detail": "the server refused the account myuser",
        "server": "198.51.100.7:1194",
    }
    assert all(each["driver"] is None for each in status()["tunnels"])


def test_an_explanation_is_what_its_type_says():
    for each in VIEW.forwards:
        assert conforms(json.loads(json.dumps(picture().explain(each))), documents.ExplainDocument)


def test_a_report_is_what_its_type_says():
    assert conforms(json.loads(json.dumps(drill(REPORT))), documents.DrillDocument)


def test_a_status_without_forwards_and_one_of_ten_thousand():
    assert status(view=ControlView())["forwards"] == []
    names = [f"forward-{number}" for number in range(10_000)]
    assert [each["name"] for each in status(view=ControlView(forwards=tuple(map(forward, names))))["forwards"]] == names


def test_words_that_look_like_the_end_of_the_json_do_no_harm():
    odd = ControlView(tunnels=(tunnel("zone-a", evidence='a "[]}" of things'),), forwards=(forward("hello"),))
    assert status(view=odd)["tunnels"][0]["evidence"] == 'a "[]}" of things'


def test_moments_become_ages_and_countdowns():
    shown = status()["tunnels"][0]
    assert (shown["since_seconds"], shown["alive_seconds"], shown["held_for_seconds"]) == (60.0, 0.5, 18.2)
    assert (shown["drilled_for_seconds"], shown["drained_for_seconds"]) == (None, None)
    assert status(now=178.25)["tunnels"][0]["held_for_seconds"] is None


def test_drills_and_drains_count_down():
    view = ControlView(tunnels=(tunnel("zone-a", drill_until=165.0, drain_until=170.0),))
    shown = status(view=view)["tunnels"][0]
    assert (shown["drilled_for_seconds"], shown["drained_for_seconds"]) == (5.0, 10.0)


def test_sessions_held_clients_and_rates_of_each():
    document = status()
    assert [each["sessions"] for each in document["tunnels"]] == [2, 0]
    assert [(each["sessions"], each["held"]) for each in document["forwards"]] == [(2, 0), (0, 3)]
    still = {"to_target_bytes_per_second": 0, "to_client_bytes_per_second": 0, "connections_per_second": 0}
    moving = {"to_target_bytes_per_second": 1500, "to_client_bytes_per_second": 2.5e6, "connections_per_second": 3}
    assert [each["rates"] for each in document["tunnels"]] == [moving, still]
    assert document["tunnels"][0]["targets"] == {"up": 1, "down": 1, "unknown": 0}


def test_rates_are_unknown_before_they_were_measured():
    assert status(rates=Rates())["forwards"][0]["rates"] is None


# ---------------------------------------------------------------- explanations


def explained(name: str, view: ControlView = VIEW) -> dict:
    [found] = [each for each in view.forwards if each.name == name]
    return picture(view).explain(found)


def test_the_chosen_one_first_and_every_other_with_its_reason():
    candidates = explained("hello")["candidates"]
    assert [(each["tunnel"]["name"], each["chosen"], each["why_not"]) for each in candidates] == [
        ("zone-a", True, ""),
        ("zone-b", False, "down: carrier_lost"),
    ]


def test_of_a_forward_without_a_tunnel_none_is_chosen():
    candidates = explained("ldap")["candidates"]
    assert [(each["tunnel"]["name"], each["chosen"]) for each in candidates] == [("zone-a", False), ("zone-b", False)]


def test_a_balanced_forward_chooses_all_that_it_offers():
    shared = replace(VIEW.forwards[0], why={}, policy=ForwardPolicy.BALANCE, offered=("zone-a", "zone-b"))
    view = ControlView(tunnels=(tunnel("zone-a"), tunnel("zone-b")), forwards=(shared,))
    assert [each["chosen"] for each in explained("hello", view)["candidates"]] == [True, True]


def test_probes_of_its_own_target_come_first_and_of_the_others_only_some():
    others = tuple(probe(Endpoint("10.0.0.1", port), Health.DOWN) for port in range(1, 101))
    view = ControlView(
        tunnels=(tunnel("zone-a", probes=(*others, probe(None), probe(HELLO))),),
        forwards=(replace(VIEW.forwards[0], name="x"),),
    )
    [candidate] = explained("x", view)["candidates"]
    assert [each["label"] for each in candidate["probes"][:3]] == [
        "icmp://10.10.20.1",
        f"tcp://{HELLO}",
        "tcp://10.0.0.1:1",
    ]
    assert len(candidate["probes"]) == 10
    assert candidate["probes_left_out"] == 92


@pytest.mark.parametrize(
    ("target", "speaks"),
    [
        ("192.168.100.30:8080", True),
        ("192.168.100.30:8000-8100", True),
        ("192.168.100.30:8081-8100", False),
        ("192.168.100.31:8080", False),
        ("", False),
    ],
)
def test_a_probe_speaks_for_its_target_and_for_a_range_with_it(target, speaks):
    assert speaks_for(HELLO, target) is speaks


def test_a_probe_speaks_for_ipv6():
    assert speaks_for(Endpoint("fd00::1", 443), "[fd00::1]:443")


def test_ages_are_never_negative_and_what_is_over_is_none():
    assert (age(None, 10.0), age(10.1, 10.0), age(9.0, 10.0)) == (None, 0.0, 1.0)
    assert (left(None, 10.0), left(10.0, 10.0), left(12.04, 10.0)) == (None, None, 2.0)
