"""Both sample servers as they were printed, each with a plain client: what a customer has at the other end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab import client
from tests.lab.errors import LabError
from tests.lab.kinds.ipsec import IpsecClient
from tests.lab.kinds.openvpn import OpenVpnClient
from tests.lab.pki import Account
from tests.lab.processes import ProcessId
from tests.lab.samples.ipsec import IpsecSample
from tests.lab.samples.openvpn import USER, OpenVpnSample
from tests.lab.servers.ipsec import Auth
from tests.lab.topology import Site
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab

_SITE = Site.A


@pytest.fixture(scope="module")
def openvpn_sample(shared_empty_lab):
    return OpenVpnSample(shared_empty_lab.workshop, _SITE)


@pytest.fixture(scope="module")
def ipsec_sample(shared_empty_lab):
    return IpsecSample(shared_empty_lab.workshop, _SITE)


def _page(lab, tunnel):
    """The address that the company sees when it is asked for its page through `tunnel`."""
    tunnel.start()
    try:
        tunnel.wait_ready()
        lab.routes.plain(_SITE, tunnel.device)
        return asyncio.run(client.fetch(lab.cloud, device=tunnel.device)).seen
    finally:
        tunnel.stop()


def _family(lab, name):
    """All processes that were started by the process called `name`, and by these."""
    found = [lab.processes.id(name).pid]
    for pid in found:
        found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [ProcessId.of(pid) for pid in found]


def test_a_client_with_an_account_of_the_system_gets_in_to_openvpn(empty_lab, openvpn_sample):
    with empty_lab.serving(openvpn_sample) as server:
        assert _page(empty_lab, OpenVpnClient(empty_lab.workshop, _SITE, server.access)) == _SITE.lan


def test_the_account_is_not_one_of_this_machine(openvpn_sample):
    assert openvpn_sample.access.account.user == USER
    assert f"{USER}:" not in Path("/etc/passwd").read_text()
    assert f"{USER}:" not in Path("/etc/shadow").read_text()


def test_a_client_that_admits_no_compression_does_not_get_in(empty_lab, openvpn_sample):
    complaint = "Compression is not allowed"
    with empty_lab.serving(openvpn_sample) as server:
        tunnel = OpenVpnClient(empty_lab.workshop, _SITE, replace(server.access, options=()))
        tunnel.start()
        try:
            wait_until(
                lambda: complaint in empty_lab.processes.log(tunnel.name),
                within=5,
                what=complaint,
                detail=lambda: empty_lab.processes.log(tunnel.name),
            )
        finally:
            tunnel.stop()


def test_openvpn_refuses_a_wrong_password(empty_lab, openvpn_sample, tmp_path):
    with empty_lab.serving(openvpn_sample) as server:
        account = Account.write(tmp_path, USER, "wrong")
        tunnel = OpenVpnClient(empty_lab.workshop, _SITE, replace(server.access, account=account))
        tunnel.start()
        try:
            wait_until(
                lambda: "AUTH: Received control message: AUTH_FAILED" in empty_lab.processes.log(tunnel.name),
                within=15,  # PAM lets a wrong one wait for some seconds
                what="refused",
                detail=lambda: empty_lab.processes.log(tunnel.name),
            )
        finally:
            tunnel.stop()


def test_a_client_with_the_account_gets_in_to_ipsec(empty_lab, ipsec_sample):
    with empty_lab.serving(ipsec_sample) as server:
        assert _page(empty_lab, IpsecClient(empty_lab.workshop, _SITE, server.access)) == _SITE.lan


def test_a_client_with_the_certificate_of_the_bundle_gets_in_to_ipsec(empty_lab, tmp_path):
    with empty_lab.serving(IpsecSample(empty_lab.workshop, _SITE, auth=Auth.TLS)) as server:
        assert server.access.identity is not None
        opened = server.access.bundle.open(tmp_path)
        assert opened.name == "client"
        access = replace(server.access, identity=opened)
        assert _page(empty_lab, IpsecClient(empty_lab.workshop, _SITE, access)) == _SITE.lan


def test_ipsec_refuses_a_wrong_password(empty_lab, ipsec_sample):
    with empty_lab.serving(ipsec_sample) as server:
        account = replace(server.access.account, password="wrong")
        tunnel = IpsecClient(empty_lab.workshop, _SITE, replace(server.access, account=account))
        tunnel.start()
        try:
            with pytest.raises(LabError, match="EAP-MS-CHAPv2 failed"):
                tunnel.wait_ready()
        finally:
            tunnel.stop()


@pytest.mark.parametrize("sample", ["openvpn_sample", "ipsec_sample"])
def test_nothing_of_it_outlives_it_even_when_it_is_killed(empty_lab, sample, request):
    site = empty_lab.spaces[_SITE.role]
    with empty_lab.serving(request.getfixturevalue(sample)) as server:
        family = _family(empty_lab, server.name)
        assert len(family) >= 3
        with empty_lab.faults.kill9(server.name):
            assert all(each.wait(5) for each in family)
        assert empty_lab.processes.alive(server.name)
    assert not empty_lab.processes.alive(server.name)
    assert site.run(["nft", "list", "tables"]) == ""
