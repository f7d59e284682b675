from __future__ import annotations

import pytest

from gateway.model import LineLevel
from gateway.tunnels.ipsec.speech import heard


@pytest.mark.parametrize(
    ("line", "component", "text"),
    [
        ("09[IKE] initiating IKE_SA gateway[1] to 10.91.2.2", "ike", "initiating IKE_SA gateway[1] to 10.91.2.2"),
        ("09[IKE] <gateway|1> retransmit 1 of request", "ike", "retransmit 1 of request"),
        ('12[CFG]   using certificate "CN=site-b"', "cfg", '  using certificate "CN=site-b"'),
        ("00[DMN] ", "dmn", ""),
        ("/usr/lib/ipsec/charon: error while loading", "charon", "/usr/lib/ipsec/charon: error while loading"),
    ],
)
def test_a_line_is_who_and_what(line, component, text):
    assert heard(line) == (component, text)


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("09[IKE] received AUTHENTICATION_FAILED notify error", LineLevel.ERROR),
        ("09[NET] error writing to socket: No route to host", LineLevel.ERROR),
        ("09[IKE] retransmit 1 of request with message ID 6", LineLevel.WARNING),
        ("00[LIB] plugin 'vici': failed to load - vici_plugin_create returned NULL", LineLevel.WARNING),
        ("09[IKE] received DELETE for IKE_SA gateway[1]", LineLevel.INFO),
        ("09[IKE] CHILD_SA networks{1} established with SPIs 32a14e51_i bee7d0f7_o", LineLevel.INFO),
        ("09[ENC] generating IKE_SA_INIT request 0 [ SA KE No ]", LineLevel.DEBUG),
        ("00[LIB] created TUN device: ipsec0", LineLevel.DEBUG),
        ("16[KNL] received netlink error: No such device (19)", LineLevel.DEBUG),
    ],
)
def test_its_words_say_how_serious_it_is(line, level):
    assert heard(line).level is level


@pytest.mark.parametrize(
    "line",
    [
        "10[IKE] sending DPD request",
        "10[ENC] generating INFORMATIONAL request 6 [ ]",
        "10[NET] sending packet: from 10.91.2.1[56714] to 10.91.2.2[4500] (80 bytes)",
        "10[NET] received packet: from 10.91.2.2[4500] to 10.91.2.1[56714] (80 bytes)",
        "10[ENC] parsed INFORMATIONAL response 6 [ ]",
        "10[ENC] parsed INFORMATIONAL request 12 [ ]",
        "10[ENC] generating INFORMATIONAL response 12 [ ]",
        "14[KNL] flags changed for fe80::30da:eff:fe47:ddc3 on uplink",
        "00[DMN] ",
    ],
)
def test_what_is_said_every_two_seconds_is_not_worth_a_line(line):
    assert heard(line).level is None


def test_taking_leave_is():
    assert heard("10[ENC] parsed INFORMATIONAL request 0 [ D ]").level is LineLevel.DEBUG
