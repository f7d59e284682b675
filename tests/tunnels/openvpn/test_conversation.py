"""What a process is told in answer to what it says: whole conversations, without the process."""

from __future__ import annotations

import pytest

from gateway.errors import LinkError
from gateway.model import FailureReason, LineLevel, OpenVpnSpec, Secret
from gateway.tunnels.openvpn.conversation import Conversation
from gateway.tunnels.openvpn.management import BEGIN
from tests.tunnels.ipsec.support import Ear

HOLD = ">HOLD:Waiting for hold release:0"
CONNECTED = ">STATE:1,CONNECTED,SUCCESS,10.8.0.2,10.91.1.2,1194,,,"
PUSHED = ">LOG:1,,OPTIONS IMPORT: tun-mtu set to 1420"
ACCOUNT = OpenVpnSpec(username="myuser", password=Secret("mypassword"))


class Script:
    """A `Meeting` in which the process says these lines."""

    def __init__(self, *lines: str) -> None:
        self._lines = lines
        self.orders: list[str] = []

    async def lines(self):
        for line in self._lines:
            yield line

    def order(self, *orders):
        self.orders += orders


def conversation(spec=ACCOUNT, *, refusal=None, **further):
    settled = []

    async def settle(addresses, mtu):
        if refusal is not None:
            raise refusal
        settled.append(([str(each) for each in addresses], mtu))

    ear = Ear()
    return Conversation(spec, ear, settle, **further), ear, settled


async def test_it_is_let_go_answered_and_followed_until_it_is_up():
    talk, ear, settled = conversation()
    script = Script(
        ">INFO:OpenVPN Management Interface",
        HOLD,
        "SUCCESS: hold release succeeded",
        ">PASSWORD:Need 'Auth' username/password",
        PUSHED,
        CONNECTED,
        ">BYTECOUNT:10,20",
    )
    await talk.hold(script)
    assert script.orders == [*BEGIN, 'username "Auth" "myuser"', 'password "Auth" "mypassword"']
    assert settled == [(["10.8.0.2"], 1420)]
    assert ear.addresses == ("10.8.0.2",)
    assert ear.counts == [(20, 10)]
    assert talk.up.is_set()
    assert not talk.over.is_set()


async def test_it_is_not_let_go_twice():
    talk, _, _ = conversation()
    script = Script(HOLD, HOLD)
    await talk.hold(script)
    assert script.orders == [*BEGIN]
    assert talk.over.is_set()


@pytest.mark.parametrize(
    ("spec", "question", "reason"),
    [
        (OpenVpnSpec(), ">PASSWORD:Need 'Auth' username/password", FailureReason.CONFIGURATION),
        (ACCOUNT, ">PASSWORD:Need 'Auth' username/password SC:1,PIN", FailureReason.NO_COMMON_METHOD),
        (ACCOUNT, ">PASSWORD:Need 'Private Key' password", FailureReason.CONFIGURATION),
    ],
)
async def test_what_cannot_be_answered_ends_it(spec, question, reason):
    talk, _, _ = conversation(spec)
    script = Script(question)
    await talk.hold(script)
    assert script.orders == []
    assert (talk.diagnosis.reason, talk.over.is_set()) == (reason, True)


async def test_a_device_that_cannot_have_what_the_server_gives_ends_it():
    refusal = LinkError("the address is another's")
    talk, ear, _ = conversation(refusal=refusal)
    await talk.hold(Script(CONNECTED))
    assert (talk.refusal, talk.over.is_set()) == (refusal, True)
    assert not talk.up.is_set()
    assert not ear.up.is_set()


async def test_a_connection_with_an_error_is_none():
    talk, ear, _ = conversation()
    await talk.hold(Script(">STATE:1,CONNECTED,ERROR,10.8.0.2,10.91.1.2,1194,,,"))
    assert (talk.diagnosis.reason, talk.over.is_set()) == (FailureReason.CONFIGURATION, True)
    assert not ear.up.is_set()


async def test_why_it_ends_is_said_last_and_counts_where_nothing_was_said_before():
    talk, _, _ = conversation()
    await talk.hold(Script(CONNECTED, ">STATE:2,EXITING,remote-exit,,,,,"))
    assert talk.diagnosis.reason is FailureReason.SERVER_ENDED
    refused, _, _ = conversation()
    await refused.hold(Script(">PASSWORD:Verification Failed: 'Auth'", ">STATE:2,EXITING,auth-failure,,,,,"))
    assert refused.diagnosis.reason is FailureReason.WRONG_PASSWORD


async def test_lines_are_passed_on_and_one_in_vain_ends_it():
    talk, ear, _ = conversation()
    talk.hear("1700000000.123456 1 VERIFY OK: depth=0, CN=a")
    assert ear.lines == [(LineLevel.INFO, "openvpn", "VERIFY OK: depth=0, CN=a")]
    assert not talk.over.is_set()
    talk.hear("1700000000.123456 41 read UDPv4 [ECONNREFUSED]: Connection refused (fd=5,code=111)")
    assert talk.over.is_set()


async def test_of_a_flood_only_the_beginning_is_passed_on_and_all_of_it_is_heard():
    now = 0.0
    talk, ear, _ = conversation(clock=lambda: now)
    for number in range(10_000):
        talk.hear(f"1700000000.123456 41 something, for the {number}th time")
    assert len(ear.lines) == 200
    talk.hear("1700000000.123456 1 VERIFY EKU ERROR")
    assert talk.diagnosis.reason is FailureReason.CERTIFICATE_NOT_TRUSTED
    now = 60.0
    talk.hear("1700000000.123456 1 the end")
    assert ear.lines[200:] == [
        (LineLevel.WARNING, "gateway", "9801 lines before this are left out: too many"),
        (LineLevel.INFO, "openvpn", "the end"),
    ]


async def test_what_is_said_over_and_over_is_passed_on_once_and_counted():
    talk, ear, _ = conversation()
    for _ in range(10_000):
        talk.hear("1700000000.123456 41 something")
    talk.hear("1700000000.123456 1 VERIFY EKU ERROR")
    talk.hear("1700000000.123456 1 VERIFY EKU ERROR")
    talk.hush()
    talk.hush()
    assert [text for _, _, text in ear.lines] == [
        "something",
        "the line before this came 9999 times more",
        "VERIFY EKU ERROR",
        "the line before this came once more",
    ]
    assert talk.diagnosis.reason is FailureReason.CERTIFICATE_NOT_TRUSTED
