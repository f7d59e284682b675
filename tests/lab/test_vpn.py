from __future__ import annotations

import pytest

from tests.lab import vpn
from tests.lab.errors import LabError
from tests.lab.kinds import openvpn


def test_a_kind_is_a_file():
    assert vpn.kinds() == ("ipsec", "openvpn", "wireguard")
    assert vpn.load("openvpn") is openvpn.vpn


def test_an_unknown_kind_is_refused():
    with pytest.raises(LabError, match=r"no VPN is of kind pigeon; there are .*openvpn"):
        vpn.load("pigeon")
