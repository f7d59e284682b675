from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model import Endpoint, Failback, ForwardPolicy, ListenAddress, PortMap, WhenDown
from gateway.policy.layout import lay_out
from tests.policy.scenes import Other, Target, forward


def test_forwards_that_choose_alike_are_one_group():
    layout = lay_out((forward("x"), forward("y", target=Other), forward("z", "b", "a")))
    assert [group.tunnels for group in layout.groups] == [("a", "b"), ("b", "a")]
    assert layout.groups[0].keys == (("x", Target), ("y", Other))


@pytest.mark.parametrize(
    "peculiar",
    [
        forward("y", policy=ForwardPolicy.BALANCE),
        forward("y", hold=1.0),
        forward("y", when_down=WhenDown.REFUSE),
        forward("y", "b"),
    ],
)
def test_others_have_their_own(peculiar):
    assert len(lay_out((forward("x"), peculiar)).groups) == 2


def test_who_waits_is_patient():
    specs = (forward("x"), forward("y", hold=1.0), forward("z", when_down=WhenDown.REFUSE))
    patience = {key[0]: group.patient for group in lay_out(specs).groups for key in group.keys}
    assert patience == {"x": False, "y": True, "z": True}


def test_a_range_is_many_keys_of_which_the_first_speaks_for_all():
    ports = tuple(
        PortMap(listen=ListenAddress(None, number), target=Endpoint(Target.host, number)) for number in (1, 2, 3)
    )
    spec = replace(forward("x"), ports=ports)
    layout = lay_out((spec,))
    assert layout.firsts == ((spec, ("x", Endpoint(Target.host, 1))),)
    keys = [("x", Endpoint(Target.host, number)) for number in (1, 2, 3)]
    assert [key for _, key in layout.by_host[Target.host]] == keys
    assert [key for _, key in layout.by_forward["x"]] == keys
    assert list(layout.targets["a"]) == [key[1] for key in keys]


def test_targets_by_tunnel_once_each():
    layout = lay_out((forward("x"), forward("y"), forward("z", "b", target=Other)))
    assert {name: list(targets) for name, targets in layout.targets.items()} == {"a": [Target], "b": [Target, Other]}


def test_who_waits_for_the_operator_and_who_moves_old_sessions():
    layout = lay_out((forward("x"), forward("y", failback=Failback.MANUAL), forward("z", rate=2.0)))
    assert layout.manual == {"y"}
    assert layout.shed_rates == {"z": 2.0}
