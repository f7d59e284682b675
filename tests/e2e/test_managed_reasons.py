"""Why an attempt failed, for each way to fail: status and activity say the true reason, in words that help.

All tunnels of one gateway fail at once, each for a reason of its own, and one that works serves its clients meanwhile.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.e2e.failover import forward, page
from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import activities, ask, configuration, connected, stands, tunnel
from tests.e2e.verbs import status, verb
from tests.lab.names import Role
from tests.lab.pki import ELSEWHERE, USER, Account, Certified
from tests.lab.servers.ipsec import Auth, IpsecServer
from tests.lab.servers.openvpn import Login, OpenVpnServer, Transport
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import UPLINK_FAR, Site

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

_STEADY, _PORT = "steady", 33000
_CLOSED, _SILENT = 1998, 1999  # ports where nobody listens: the one says so, at the other packets vanish
_SLOW = 30.0  # seconds, at least, until a refused account is tried again
_NEXT = re.compile(r"next attempt in ([\d.]+) s")
_REFUSED = ("ovpn-password", "ovpn-tcp-passwd", "ipsec-password")
_LATER = "ipsec-name"  # its server is another tunnel's first

_REASONS = {  # of each tunnel: the reason, and words that its detail has
    "ovpn-password": ("wrong_password", ()),
    "ovpn-tcp-passwd": ("wrong_password", ()),
    "ovpn-expired": ("certificate_expired", ("site-a",)),
    "ovpn-untrusted": ("certificate_not_trusted", ("site-a", "stranger")),
    "ovpn-name": ("name_mismatch", ("site-a", ELSEWHERE)),
    "ovpn-cipher": ("no_proposal", ()),
    "ovpn-own-cert": ("certificate_expired", ()),
    "ovpn-closed": ("unreachable", ()),
    "ovpn-tcp-closed": ("unreachable", ()),
    "ovpn-silent": ("timed_out", ()),
    "ovpn-tcp-silent": ("timed_out", ()),
    "ipsec-password": ("wrong_password", ()),
    "ipsec-method": ("no_common_method", ()),
    "ipsec-proposal": ("no_proposal", ()),
    "ipsec-expired": ("certificate_expired", ("site-b",)),
    "ipsec-untrusted": ("certificate_not_trusted", ("site-c", "stranger")),
    "ipsec-silent": ("timed_out", ()),
    "wg-key": ("timed_out", ()),
}


@pytest.fixture(scope="module")
def servers(shared_empty_lab):
    """By tunnel, the server that it is to connect to."""
    lab = shared_empty_lab

    def openvpn(number, *, login=Login.PASSWORD, certified=Certified.RIGHT, transport=Transport.UDP):
        return OpenVpnServer(lab.workshop, Site.A, number=number, login=login, certified=certified, transport=transport)

    found = {
        _STEADY: openvpn(1),
        "ovpn-tcp-passwd": openvpn(2, transport=Transport.TCP),
        "ovpn-expired": openvpn(3, certified=Certified.EXPIRED),
        "ovpn-untrusted": openvpn(4, certified=Certified.UNTRUSTED),
        "ovpn-name": openvpn(5, certified=Certified.MISNAMED),
        "ovpn-own-cert": openvpn(6, login=Login.CERTIFICATE),
        "ipsec-password": IpsecServer(lab.workshop, Site.A),
        "ipsec-expired": IpsecServer(lab.workshop, Site.B, certified=Certified.EXPIRED),
        "ipsec-untrusted": IpsecServer(lab.workshop, Site.C, certified=Certified.UNTRUSTED),
        "wg-key": WireGuardServer(lab.workshop, Site.B),
    }
    with ExitStack() as stack:
        for server in found.values():
            stack.enter_context(lab.serving(server))
        yield found


@pytest.fixture(scope="module")
def silence(shared_empty_lab):
    """Makes the ports beside the uplink what they are said to be."""
    wan = shared_empty_lab.spaces[Role.WAN]
    drop = f"udp dport {{ 500, 4500, {_SILENT} }} drop; tcp dport {_SILENT} drop"
    wan.nft(f"table inet silence {{ chain input {{ type filter hook input priority 0; {drop}\n}}\n}}")
    yield
    wan.nft("delete table inet silence")


def _entries(lab, servers, wrong):
    """The `[[tunnel]]` of each case; `wrong` is an account whose password is wrong."""
    pki = lab.workshop.pki
    right, tcp = servers[_STEADY].access, servers["ovpn-tcp-passwd"].access
    ipsec = servers["ipsec-password"].access
    own_expired = replace(servers["ovpn-own-cert"].access, identity=pki.client(Certified.EXPIRED))
    accesses = {
        "ovpn-password": replace(right, account=wrong),
        "ovpn-tcp-passwd": replace(tcp, account=wrong),
        **{name: servers[name].access for name in ("ovpn-expired", "ovpn-untrusted", "ovpn-name")},
        "ovpn-cipher": servers["ovpn-own-cert"].access,
        "ovpn-own-cert": own_expired,
        "ovpn-closed": replace(right, host=UPLINK_FAR, port=_CLOSED),
        "ovpn-tcp-closed": replace(tcp, host=UPLINK_FAR, port=_CLOSED),
        "ovpn-silent": replace(right, host=UPLINK_FAR, port=_SILENT),
        "ovpn-tcp-silent": replace(tcp, host=UPLINK_FAR, port=_SILENT),
        "ipsec-password": replace(ipsec, account=wrong),
        "ipsec-method": replace(ipsec, auth=Auth.TLS, account=None, identity=pki.client()),
        "ipsec-proposal": ipsec,
        **{name: servers[name].access for name in ("ipsec-expired", "ipsec-untrusted")},
        "ipsec-silent": replace(ipsec, host=UPLINK_FAR),
        "wg-key": replace(servers["wg-key"].access, private_key=pki.wireguard(Site.C.role).private),
        _LATER: servers["ipsec-expired"].access,
    }
    further = {
        "ovpn-cipher": ['ciphers = ["AES-256-CBC"]'],
        "ipsec-proposal": ['proposals = ["aes256-sha1-modp1024"]'],
        _LATER: ["autoconnect = false"],
    }
    return {name: tunnel(name, access, *further.get(name, ())) for name, access in accesses.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(shared_empty_lab, servers, silence, tmp_path_factory):
    lab, directory = shared_empty_lab, tmp_path_factory.mktemp("gateway")
    entries = _entries(lab, servers, Account.write(directory, USER, "not-the-password"))
    names = [_STEADY, *entries]
    text = configuration(
        lab,
        directory,
        tunnel(_STEADY, servers[_STEADY].access),
        *entries.values(),
        forward("hello", _PORT, 8080, f"tunnels = {json.dumps(names)}"),
    )
    async with GatewayProcess(lab, directory, text) as process:
        await process.ready()
        await connected(process, _STEADY)
        await process.metric("gateway_tunnel_up", lambda value: value == 1, tunnel=_STEADY)
        mark = len(process.events)
        yield process
        assert [each for each in process.events[mark:] if _is_fall(each)] == []


def _is_fall(event):
    return event["event"] == "tunnel.transition" and event["tunnel"] == _STEADY and event["old"] == "up"


@pytest.mark.parametrize("name", _REASONS)
async def test_the_reason_is_the_true_one(empty_lab, gateway, servers, name):
    reason, words = _REASONS[name]
    said = await stands(gateway, name, "reconnecting", "connecting", "auth_failed", reason=reason)
    failure = said["failure"]
    assert all(word in failure["detail"] for word in words), failure
    (first, *_) = await activities(gateway, name, "attempt_failed")
    assert first == f"{reason} ({failure['server']}): {failure['detail']}"
    assert not await activities(gateway, name, "connected")
    assert (await page(empty_lab, _PORT)).startswith(f"{servers[_STEADY].pool}.")


@pytest.mark.parametrize("name", _REFUSED)
async def test_a_refused_account_is_tried_again_slowly(gateway, name):
    said = await stands(gateway, name, "auth_failed", reason="wrong_password")
    assert said["attempts"] == 1
    assert await gateway.event("tunnel.auth_failed", tunnel=name, level="error")
    told = await gateway.event("vpn.line", lambda line: _NEXT.match(str(line["text"])) is not None, tunnel=name)
    assert float(_NEXT.match(told["text"])[1]) >= _SLOW


async def test_a_server_with_somebody_elses_certificate(empty_lab, gateway, servers):
    await stands(gateway, "ipsec-expired", "reconnecting", "connecting", reason="certificate_expired")
    servers["ipsec-expired"].offer(Auth.MSCHAPV2, Certified.MISNAMED)
    assert (await ask(empty_lab, "connect", _LATER))["state"] == "connecting"
    said = await stands(gateway, _LATER, "reconnecting", "connecting", reason="name_mismatch")
    assert servers["ipsec-expired"].access.name in said["failure"]["detail"]
    await ask(empty_lab, "disconnect", _LATER)


async def test_an_operator_is_told_in_words(empty_lab, gateway):
    await stands(gateway, "ovpn-password", "auth_failed")
    told = (await status(empty_lab, "ovpn-password"))["driver"]
    assert (told["state"], told["failure"]["reason"]) == ("auth_failed", "wrong_password")
    shown = " ".join((await verb(empty_lab, "status")).split())  # it is wrapped
    assert told["failure"]["detail"] in shown
    assert told["failure"]["detail"] in await verb(empty_lab, "activity", "ovpn-password")
