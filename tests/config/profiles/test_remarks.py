from __future__ import annotations

from gateway.config.profiles.remarks import Remarks


def test_each_has_its_place():
    remarks = Remarks("client.ovpn")
    remarks.problem(7, "up", "refused: it runs a program")
    remarks.problem(None, "ca", "needed")
    remarks.warning(3, "ping", "left out")
    assert remarks.problems == ('"client.ovpn", line 7: up: refused: it runs a program', '"client.ovpn": ca: needed')
    assert remarks.warnings == ('"client.ovpn", line 3: ping: left out',)


def test_a_path_that_does_harm_does_none():
    remarks = Remarks("a\x1b[0m")
    remarks.problem(1, "up", "refused")
    assert all(map(str.isprintable, remarks.problems))
