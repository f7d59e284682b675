"""Managed tunnels: their secrets are fetched, never shown, and warned about where they are badly kept."""

from __future__ import annotations

import pytest

from gateway.config import load
from gateway.errors import ConfigError
from gateway.model import Config, OpenVpnSpec, Secret
from tests.config.pki import identity

FORWARD = '[[forward]]\nname = "hello"\nlisten = "33000"\ntarget = "192.168.100.30:8080"\n'

OPENVPN = """
[[tunnel]]
name     = "zone-c"
kind     = "openvpn"
servers  = ["198.51.100.7:1194"]
username = "myuser"
password = { env = "GATEWAY_TEST_PASSWORD" }
ca       = { file = "ca.crt" }
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    (tmp_path / "ca.crt").write_text(identity("ca").pem)
    monkeypatch.setenv("GATEWAY_TEST_PASSWORD", "hunter2")

    def read(tunnels: str) -> Config:
        path = tmp_path / "forwards.toml"
        path.write_text(tunnels + FORWARD)
        return load(path)

    return read


def test_what_is_fetched_is_kept(config, monkeypatch):
    loaded = config(OPENVPN)
    monkeypatch.setenv("GATEWAY_TEST_PASSWORD", "hunter3")
    (tunnel,) = loaded.tunnels
    assert isinstance(tunnel.vpn, OpenVpnSpec)
    assert tunnel.vpn.password == Secret("hunter2")
    assert tunnel.vpn.ca == identity("ca").pem
    assert loaded.warnings == ()  # a certificate that everybody can read is no secret


def test_a_secret_that_is_not_there(config, monkeypatch):
    monkeypatch.delenv("GATEWAY_TEST_PASSWORD")
    with pytest.raises(
        ConfigError, match='tunnel "zone-c": password: the environment variable "GATEWAY_TEST_PASSWORD" is not set'
    ):
        config(OPENVPN)


def test_a_literal_is_warned_about_and_masked(config):
    loaded = config(OPENVPN.replace('{ env = "GATEWAY_TEST_PASSWORD" }', '"hunter2"'))
    (warning,) = loaded.warnings
    assert 'tunnel "zone-c": password: the secret stands in the configuration itself' in warning
    assert "hunter2" not in repr(loaded)


def test_a_file_that_everybody_can_read_is_warned_about(config, tmp_path):
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "password").chmod(0o644)
    (warning,) = config(OPENVPN.replace('env = "GATEWAY_TEST_PASSWORD"', 'file = "password"')).warnings
    assert 'every user can read the file "password"' in warning


def test_a_secret_among_the_defaults_is_followed_once(config, monkeypatch):
    password = 'password = { env = "GATEWAY_TEST_PASSWORD" }\n'
    tunnels = OPENVPN.replace(password, "")
    both = f"[defaults.tunnel]\n{password}{tunnels}{tunnels.replace('zone-c', 'zone-d')}"
    specs = [tunnel.vpn for tunnel in config(both).tunnels]
    assert [spec.password for spec in specs if isinstance(spec, OpenVpnSpec)] == [Secret("hunter2")] * 2
    monkeypatch.delenv("GATEWAY_TEST_PASSWORD")
    with pytest.raises(ConfigError) as caught:
        config(both)
    assert [(problem.place, problem.key) for problem in caught.value.problems] == [("[defaults.tunnel]", "password")]


def test_a_secret_under_a_misspelt_key_is_not_shown(config):
    with pytest.raises(ConfigError) as caught:
        config(OPENVPN + 'pasword = "hunter2"\n')
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None  # nor in what pydantic would add to a traceback
