from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.lab import client
from tests.lab.errors import LabError
from tests.lab.kinds import wireguard
from tests.lab.kinds.wireguard import WireGuardClient
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import Site

pytestmark = pytest.mark.lab


@pytest.fixture
def server(empty_lab):
    with empty_lab.serving(WireGuardServer(empty_lab.workshop, Site.C)) as server:
        yield server


def _page(lab, access):
    """The address that the company sees when a client that has `access` reads its page."""
    tunnel = WireGuardClient(lab.workshop, Site.C, access)
    tunnel.start()
    try:
        tunnel.wait_ready()
        return asyncio.run(client.fetch(lab.cloud, device=tunnel.device)).seen
    finally:
        tunnel.stop()


def test_a_client_with_its_key_gets_in_again_and_again(empty_lab, server):
    for _ in range(2):
        assert _page(empty_lab, server.access) == f"{server.pool}.2"


def test_a_client_with_another_key_is_met_with_silence(empty_lab, server, monkeypatch):
    monkeypatch.setattr(wireguard, "_HANDSHAKE", 0.5)
    stranger = empty_lab.workshop.pki.wireguard(Site.A.role).private
    with pytest.raises(LabError, match="wireguard-client-c has shaken hands"):
        _page(empty_lab, replace(server.access, private_key=stranger))


def test_a_preshared_key_is_asked_for_where_there_is_one(empty_lab, monkeypatch):
    with empty_lab.serving(WireGuardServer(empty_lab.workshop, Site.A, preshared=True)) as server:
        monkeypatch.setattr(wireguard, "_HANDSHAKE", 0.5)
        tunnel = WireGuardClient(empty_lab.workshop, Site.A, replace(server.access, preshared_key=None))
        tunnel.start()
        try:
            with pytest.raises(LabError, match="wireguard-client-a has shaken hands"):
                tunnel.wait_ready()
        finally:
            tunnel.stop()
        monkeypatch.undo()
        tunnel = WireGuardClient(empty_lab.workshop, Site.A, server.access)
        tunnel.start()
        try:
            tunnel.wait_ready()
        finally:
            tunnel.stop()
        shared = server.access.preshared_key.read_text().strip()
        assert f"PresharedKey = {shared}" in server.access.profile.read_text().splitlines()


def test_a_killed_server_comes_back(empty_lab, server):
    with empty_lab.faults.kill9(server.name):
        assert not empty_lab.processes.alive(server.name)
    assert _page(empty_lab, server.access) == f"{server.pool}.2"


def test_the_profile_says_the_same(server):
    lines = server.access.profile.read_text().splitlines()
    assert f"PrivateKey = {server.access.private_key.read_text().strip()}" in lines
    assert f"Endpoint = {server.access.host}:{server.access.port}" in lines
    assert server.access.profile.stat().st_mode & 0o077 == 0
