from __future__ import annotations

from gateway.config.defaults import merged, without


def test_an_entry_keeps_what_it_says_and_takes_what_it_may_have():
    defaults = {"mss": 1360, "esp": "kernel", "health": {"rise": 5, "fall": 4}}
    entry = {"name": "a", "health": {"rise": 1}}
    assert merged(defaults, entry, {"name", "mss", "health"}) == {
        "name": "a",
        "mss": 1360,
        "health": {"rise": 1, "fall": 4},
    }


def test_what_was_given_stays_as_it_was():
    defaults = {"health": {"rise": 5}}
    entry = {"health": {"fall": 1}}
    merged(defaults, entry, {"health"})
    without(defaults, [("health", "rise")])
    assert (defaults, entry) == ({"health": {"rise": 5}}, {"health": {"fall": 1}})


def test_a_reference_is_one_value():
    defaults = {"password": {"env": "X"}}
    entry = {"password": {"file": "password"}}
    assert merged(defaults, entry, {"password"}) == entry


def test_an_entry_of_the_wrong_shape_is_not_hidden_by_a_default():
    assert merged({"health": {"rise": 5}}, {"health": 1}, {"health"}) == {"health": 1}


def test_what_is_wrong_is_left_out():
    defaults = {"mss": 1, "policy": "x", "health": {"rise": 0, "fall": 4}}
    assert without(defaults, [("mss",), ("health", "rise"), ("absent",)]) == {"policy": "x", "health": {"fall": 4}}
