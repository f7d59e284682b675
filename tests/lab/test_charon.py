from __future__ import annotations

import pytest

from tests.lab.charon import Charon
from tests.lab.errors import LabError
from tests.lab.names import Role
from tests.lab.netns import Namespace

pytestmark = pytest.mark.lab


@pytest.fixture
def charon(empty_lab):
    charon = Charon(empty_lab.workshop, "charon", Role.CORP, {"port": 0, "port_nat_t": 0})
    yield charon
    charon.stop()


def test_it_takes_orders_and_what_it_says_is_of_its_present_life(charon):
    for _ in range(2):
        charon.start()
        charon.wait_ready()
        with charon.session() as session:
            assert session.version()["daemon"] == b"charon"
        assert charon.log.count("Starting IKE charon daemon") == 1
        charon.stop()


def test_it_does_its_settings(charon, empty_lab):
    charon.start()
    charon.wait_ready()
    assert "plugin 'vici': failed" not in charon.log
    sockets = empty_lab.spaces[Role.CORP].run(["ss", "-lnuH"])
    assert ":500 " not in sockets
    assert ":4500 " not in sockets


def test_one_that_ends_says_why(empty_lab):
    charon = Charon(empty_lab.workshop, "broken", Role.CORP, {"load": "vici"})
    charon.start()
    with pytest.raises(LabError, match=r"broken takes orders(?s:.)*feature"):
        charon.wait_ready()
    charon.stop()


def test_any_number_of_them_live_in_one_namespace(empty_lab, charon):
    other = Charon(empty_lab.workshop, "other", Role.CORP, {"port": 0, "port_nat_t": 0})
    for each in (charon, other):
        each.start()
        each.wait_ready()
    corp: Namespace = empty_lab.spaces[Role.CORP]
    assert corp.link("ipsec0") is not None
    assert corp.link("ipsec1") is not None
    other.stop()
    assert corp.link("ipsec1") is None
