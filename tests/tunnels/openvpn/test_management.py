"""The management interface, line by line, as OpenVPN 2.6 has them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from gateway.tunnels.openvpn.management import Asked, Counts, Held, Refused, Sized, Standing, login, message


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info", None),
        ("SUCCESS: real-time state notification set to ON", None),
        ("", None),
        (">HOLD:Waiting for hold release:0", Held()),
        (">BYTECOUNT:3205,4406", Counts(transmitted=4406, received=3205)),
        (
            ">STATE:1700000000,CONNECTED,SUCCESS,10.10.20.6,10.91.1.2,1194,,,fd00::6",
            Standing(name="CONNECTED", detail="SUCCESS", addresses=(ip_address("10.10.20.6"), ip_address("fd00::6"))),
        ),
        (">STATE:1700000000,EXITING,tls-error,,,,,", Standing(name="EXITING", detail="tls-error")),
        (">STATE:1700000000,WAIT,,,,,,", Standing(name="WAIT", detail="")),
        (">PASSWORD:Need 'Auth' username/password", Asked(what="Auth", challenge=False)),
        (">PASSWORD:Need 'Auth' username/password SC:1,Please enter token PIN", Asked(what="Auth", challenge=True)),
        (">PASSWORD:Need 'Private Key' password", Asked(what="Private Key", challenge=False)),
        (">PASSWORD:Verification Failed: 'Auth'", Refused(why="")),
        (">PASSWORD:Verification Failed: 'Auth' ['account locked']", Refused(why="account locked")),
        (">PASSWORD:Auth-Token:xyz", None),
        (">LOG:1700000000,,OPTIONS IMPORT: tun-mtu set to 1420", Sized(mtu=1420)),
        (">LOG:1700000000,I,Initialization Sequence Completed", None),
    ],
)
def test_what_a_line_is_about(line, found):
    assert message(line) == found


def test_only_a_plain_question_for_the_account_is_answered():
    assert Asked(what="Auth", challenge=False).is_login
    assert not Asked(what="Auth", challenge=True).is_login
    assert not Asked(what="Private Key", challenge=False).is_login
    assert Asked(what="Private Key", challenge=False).is_key


def test_an_answer_survives_quotes_and_backslashes():
    assert login("my user", 'a"b\\c') == ('username "Auth" "my user"', 'password "Auth" "a\\"b\\\\c"')
