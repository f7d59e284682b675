from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from bench.build import load_program
from bench.measures import MEASURES, Settings
from bench.peers.base import Peer
from bench.peers.catalogue import standard
from bench.places import PlaceName
from bench.plan import Step
from bench.sampling import take

SHORT = Settings(rounds=1, seconds=0.1, churn_at_once=8, sessions=50, storm=50)
DIRECT = next(peer for peer in standard({}) if peer.name == "direct")
GATEWAY = next(peer for peer in standard({}) if peer.name == "gateway")

ON_CI = os.environ.get("CI") == "true"  # where what cannot run fails

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 and not ON_CI, reason="needs root"),
    pytest.mark.skipif(not shutil.which("gcc") and not ON_CI, reason="needs gcc"),
]


@pytest.fixture(scope="module")
def program():
    return load_program()


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("measure", [m for m in MEASURES if m.name not in {"memory", "failover"}], ids=lambda m: m.name)
def test_every_load_works_with_no_proxy_in_between(measure, program):
    sample = take(Step(PlaceName.LOOPBACK, measure, DIRECT, 0), SHORT, program)
    assert sample.error == ""
    assert sample.values.get("failed", 0) == 0
    assert all(value >= 0 for value in sample.values.values())


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.name)
def test_every_measure_has_its_figures_of_the_gateway(measure, program):
    place = PlaceName.TUNNELS if measure.name == "failover" else PlaceName.VETH
    sample = take(Step(place, measure, GATEWAY, 0), SHORT, program)
    assert sample.error == ""
    assert {figure.key for figure in measure.figures} <= set(sample.values)


def test_a_peer_that_does_not_start_is_a_sample_that_says_so(program):
    broken = Peer(name="broken", what="", version=str, command=lambda _: ["sh", "-c", "echo no way >&2; exit 3"])
    measure = next(measure for measure in MEASURES if measure.name == "rtt")
    sample = take(Step(PlaceName.LOOPBACK, measure, broken, 0), SHORT, program)
    assert "broken ended: no way" in sample.error
    assert sample.values == {}


def test_a_load_that_fails_is_a_sample_with_what_the_peer_said(program):
    rtt = next(measure for measure in MEASURES if measure.name == "rtt")
    measure = replace(rtt, take=lambda rig, _: rig.load("nonsense"))
    sample = take(Step(PlaceName.LOOPBACK, measure, GATEWAY, 0), SHORT, program)
    assert sample.error.startswith("gateway lives, but nonsense failed: ")
    assert "gateway.started" in sample.error


def test_nothing_is_left_behind(program):
    measure = next(measure for measure in MEASURES if measure.name == "rtt")
    take(Step(PlaceName.VETH, measure, DIRECT, 0), SHORT, program)
    assert f"gwbench-{os.getpid()}-" not in namespaces()
