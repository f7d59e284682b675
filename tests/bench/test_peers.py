from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from bench.peers import haproxy
from bench.peers.base import Job
from bench.peers.catalogue import contender, pairs, variant
from bench.peers.gateway import configuration, toml_value
from bench.places import Namespace, Place, PlaceName


def job(directory, *devices: str) -> Job:
    here = Namespace("nowhere")
    place = Place(
        name=PlaceName.LOOPBACK,
        client=here,
        proxy=here,
        targets=(here,),
        listen="127.0.0.1",
        target="127.0.0.1",
        devices=devices or ("lo",),
        sources=(),
    )
    return Job(place=place, directory=directory, listen_port=28411, target_port=28412, admin_port=28413)


@pytest.mark.parametrize(
    ("text", "value"), [("false", "false"), ("17", "17"), ("50us", '"50us"'), ('"50us"', '"50us"'), ("off", '"off"')]
)
def test_options_are_values_of_toml_or_strings(text, value):
    assert toml_value(text) == value


def test_the_gateway_gets_its_options_and_a_tunnel_per_device(tmp_path):
    data = tomllib.loads(configuration(job(tmp_path, "tun-a", "tun-b"), {"splice": "false", "busy_poll": "50us"}))
    assert data["gateway"]["splice"] is False
    assert data["gateway"]["busy_poll"] == "50us"
    assert [tunnel["interface"] for tunnel in data["tunnel"]] == ["tun-a", "tun-b"]
    assert data["forward"][0]["tunnels"] == [tunnel["name"] for tunnel in data["tunnel"]]


def test_the_gateway_accepts_its_configuration(tmp_path):
    file = job(tmp_path).write("forwards.toml", configuration(job(tmp_path), {"busy_poll": "50us"}))
    done = subprocess.run([sys.executable, "-m", "gateway", "check", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("haproxy") and os.environ.get("CI") != "true", reason="needs haproxy")
@pytest.mark.parametrize("text", [haproxy.plain, haproxy.same])
@pytest.mark.parametrize("devices", [("lo",), ("lo", "lo")])
def test_haproxy_accepts_its_configurations(tmp_path, text, devices):
    file = job(tmp_path).write("haproxy.cfg", text(job(tmp_path, *devices)))
    done = subprocess.run(["haproxy", "-c", "-f", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_variant_is_the_gateway_with_more_options(tmp_path):
    peer = variant("no-reuse:reuse_upstreams=false,splice=false", {"busy_poll": "50us"})
    assert peer.name == "no-reuse"
    assert peer.command is not None
    peer.command(job(tmp_path))
    data = tomllib.loads((tmp_path / "forwards.toml").read_text())
    assert data["gateway"] | {"reuse_upstreams": False, "splice": False, "busy_poll": "50us"} == data["gateway"]


def test_a_contender_is_told_its_ports(tmp_path):
    peer = contender("mine=relay --from {listen} --to={target_port} 'two words'")
    assert peer.command is not None
    assert peer.command(job(tmp_path)) == ["relay", "--from", "127.0.0.1:28411", "--to=28412", "two words"]


def test_an_option_needs_a_value():
    with pytest.raises(ValueError, match="expected key=value"):
        pairs(["splice"])
