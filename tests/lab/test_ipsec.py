from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.lab import client
from tests.lab.errors import LabError
from tests.lab.kinds.ipsec import IpsecClient
from tests.lab.pki import Certified
from tests.lab.servers.ipsec import Auth, IpsecServer
from tests.lab.topology import Site

pytestmark = pytest.mark.lab


@pytest.fixture
def server(empty_lab):
    with empty_lab.serving(IpsecServer(empty_lab.workshop, Site.B)) as server:
        yield server


def _page(lab, access):
    """The address that the company sees when a client that has `access` reads its page."""
    tunnel = IpsecClient(lab.workshop, Site.B, access)
    tunnel.start()
    try:
        tunnel.wait_ready()
        lab.routes.plain(Site.B, tunnel.device)
        return asyncio.run(client.fetch(lab.cloud, device=tunnel.device)).seen
    finally:
        tunnel.stop()


@pytest.mark.parametrize("auth", list(Auth))
def test_every_way_in_works_and_can_be_chosen_while_the_server_runs(empty_lab, server, auth):
    server.offer(auth)
    assert server.access.auth is auth
    assert (server.access.account is not None) is (auth is Auth.MSCHAPV2)
    assert (server.access.bundle is not None) is (auth is not Auth.MSCHAPV2)
    assert _page(empty_lab, server.access).startswith(f"{server.pool}.")


@pytest.mark.parametrize("auth", list(Auth))
@pytest.mark.parametrize(
    ("certified", "complaint"),
    [
        (Certified.EXPIRED, r"subject certificate invalid \(valid from .* to .*\)"),
        (Certified.MISNAMED, "no trusted ECDSA public key found for '10.91.2.2'"),
        (Certified.UNTRUSTED, "no issuer certificate found for"),
    ],
)
def test_a_server_whose_certificate_is_wrong_is_not_believed(empty_lab, server, auth, certified, complaint):
    server.offer(auth, certified)
    with pytest.raises(LabError, match=complaint):
        _page(empty_lab, server.access)


def test_a_wrong_password_is_refused(empty_lab, server):
    account = replace(server.access.account, password="wrong")
    with pytest.raises(LabError, match="EAP-MS-CHAPv2 failed"):
        _page(empty_lab, replace(server.access, account=account))


@pytest.mark.parametrize("certified", [Certified.EXPIRED, Certified.UNTRUSTED])
@pytest.mark.parametrize(
    ("auth", "refusal"),
    [
        (Auth.TLS, "received fatal TLS alert 'certificate unknown'"),
        (Auth.PUBKEY, "received AUTHENTICATION_FAILED notify error"),
    ],
)
def test_a_client_whose_certificate_is_wrong_is_refused(empty_lab, server, auth, refusal, certified):
    server.offer(auth)
    with pytest.raises(LabError, match=refusal):
        _page(empty_lab, replace(server.access, identity=empty_lab.workshop.pki.client(certified)))


def test_a_way_in_that_is_not_offered_ends_in_a_refusal(empty_lab, server):
    access = server.access
    server.offer(Auth.TLS)
    with pytest.raises(LabError, match="received EAP_FAILURE"):
        _page(empty_lab, access)


def test_a_killed_server_comes_back_with_what_it_offered(empty_lab, server):
    server.offer(Auth.PUBKEY)
    with empty_lab.faults.kill9(server.name):
        assert not empty_lab.processes.alive(server.name)
    assert _page(empty_lab, server.access).startswith(f"{server.pool}.")
