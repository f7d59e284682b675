"""The verbs as processes of their own, against a made-up gateway."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from gateway.model import AdminState, DrilledForward
from tests.admin.fakes import REPORT, forward
from tests.running import DEADLINE, REPOSITORY
from tests.verbs.conftest import run

VERBS = {
    "status": (), "explain": ("hello",), "enable": ("zone-a",), "disable": ("zone-a",), "drain-tunnel": ("zone-a",),
    "failback": ("hello",), "drill": ("zone-a",), "connect": ("zone-a",), "disconnect": ("zone-a",),
    "logs": ("zone-a",), "activity": (),
}  # fmt: skip

NOT_FOR_ASKING = {
    "gateway.config",
    "gateway.app",
    "pyroute2",
    "structlog",
    "uvloop",
    "prometheus_client",
    "aiohttp.web",
}


# ---------------------------------------------------------------- finding the gateway


async def test_the_socket_by_option_or_by_environment(socket, tmp_path):
    by_option = await run("status", "--socket", str(socket), GATEWAY_SOCKET=str(tmp_path / "nowhere"))
    by_environment = await run("status", GATEWAY_SOCKET=str(socket))
    assert (by_option.returncode, by_option.stderr) == (0, "")
    assert by_option.stdout == by_environment.stdout


@pytest.mark.parametrize("verb", list(VERBS))
async def test_a_gateway_that_does_not_run(tmp_path, verb):
    nowhere = tmp_path / "control.sock"
    done = await run(verb, *VERBS[verb], "--socket", str(nowhere))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"gateway: no gateway answers at {nowhere}: No such file or directory\n"


async def test_a_gateway_that_was_killed(tmp_path):
    place = tmp_path / "control.sock"
    code = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(place))
    assert await dead.wait() == 0
    done = await run("status", "--socket", str(place))
    assert (done.returncode, done.stderr) == (1, f"gateway: no gateway answers at {place}: Connection refused\n")


# ---------------------------------------------------------------- asking


async def test_status(verb):
    done = await verb("status")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("zone-a", "up, suspect", "carrier_lost", "2.5 MB/s", "hello", "*:33000"):
        assert word in done.stdout
    assert "\033" not in done.stdout, "colours in a pipe"


async def test_status_as_json(verb):
    done = await verb("status", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [each["active"] for each in json.loads(done.stdout)["forwards"]] == ["zone-a", None]


async def test_explain(verb):
    done = await verb("explain", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("hello to 192.168.100.30:8080: new sessions take zone-a.\n")
    done = await verb("explain", "hello", "--json")
    assert [each["chosen"] for each in json.loads(done.stdout)["candidates"]] == [True, False]


async def test_a_name_that_there_is_not(verb):
    done = await verb("explain", "hallo")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "gateway: no forward 'hallo': there are hello, ldap\n"
    done = await verb("disable", "zone-x")
    assert (done.returncode, done.stderr) == (1, "gateway: no tunnel 'zone-x': there are zone-a, zone-b\n")


@pytest.mark.parametrize("name", ["a/b", "a b", "%2e", "a?b#c", "ü"])
async def test_odd_names_reach_the_gateway_as_they_are(verb, fake, name):
    fake.view = replace(fake.view, forwards=(forward(name),))
    done = await verb("explain", name, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["forward"]["name"] == name


# ---------------------------------------------------------------- changing


@pytest.mark.parametrize(
    ("arguments", "asked", "says"),
    [
        (("enable", "zone-b"), ("set_admin", "zone-b", AdminState.ENABLED, None), "zone-b is enabled"),
        (("disable", "zone-a"), ("set_admin", "zone-a", AdminState.DISABLED, None), "zone-a is disabled"),
        (("drain-tunnel", "zone-a"), ("set_admin", "zone-a", AdminState.DRAINING, None), "zone-a is draining"),
        (
            ("drain-tunnel", "zone-a", "--timeout", "1m"),
            ("set_admin", "zone-a", AdminState.DRAINING, 60.0),
            "2 sessions may end within 1m 0s",
        ),
        (("failback", "hello"), ("failback", "hello"), "new sessions have moved: hello"),
        (("drill", "zone-a"), ("drill", "zone-a", 10.0), "zone-a takes new sessions again"),
        (("drill", "zone-a", "--for", "2s"), ("drill", "zone-a", 2.0), "zone-a was taken out for 2.0s"),
    ],
)
async def test_changes(verb, fake, arguments, asked, says):
    done = await verb(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout
    [(*what, by)] = fake.operations.asked
    assert tuple(what) == asked
    assert by.startswith("uid ")


@pytest.mark.parametrize("verb_name", ["enable", "disable", "drain-tunnel", "failback", "drill"])
async def test_a_refusal_is_a_failure_with_its_reason(verb, fake, verb_name):
    fake.operations.refusal = "it would leave ldap without any tunnel"
    done = await verb(verb_name, *VERBS[verb_name])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "gateway: it would leave ldap without any tunnel\n"


@pytest.mark.parametrize(
    "arguments", [("drill", "zone-a", "--for", "soon"), ("drain-tunnel", "zone-a", "--timeout", "25")]
)
async def test_a_duration_that_is_none_is_a_usage_error(verb, fake, arguments):
    done = await verb(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be a duration" in done.stderr
    assert fake.operations.asked == []


@pytest.mark.parametrize(
    "report",
    [
        replace(REPORT, forwards=(DrilledForward(forward="hello", to_tunnel=None, seconds=None, probed=True),)),
        replace(REPORT, restored=False),
    ],
)
async def test_a_drill_that_went_badly_is_a_failure_with_its_report(verb, fake, report):
    fake.operations.report = report
    done = await verb("drill", "zone-a")
    assert done.returncode == 1
    assert "zone-a was taken out for 10s" in done.stdout


# ---------------------------------------------------------------- what starting costs


def test_asking_loads_no_more_than_it_needs(tmp_path):
    code = f"""
import sys
sys.argv = ["gateway", "status", "--socket", {str(tmp_path / "none")!r}]
from gateway.cli import main
try:
    main()
finally:
    print("loaded", *sorted({NOT_FOR_ASKING!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=False, cwd=REPOSITORY
    )
    assert done.stdout.splitlines() == ["loaded"]
    assert "no gateway answers" in done.stderr
