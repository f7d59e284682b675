from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import __version__
from tests.running import DEADLINE, GATEWAY, REPOSITORY, Configuration, Running, echo_server, free_port, is_refused

# Not pydantic: typer itself checks arguments with it. What is dear is to make our models with it.
HEAVY = {"gateway.config", "gateway.app", "aiohttp", "pyroute2", "structlog", "uvloop", "asyncio", "prometheus_client"}


def gateway(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return subprocess.run(
        [*GATEWAY, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=REPOSITORY,
        env=clean | {"COLUMNS": "100"} | (env or {}),
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "good.toml"
    file.write_text(Configuration(target=1).text)
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.toml"
    wrong = 'max_conections = 3\ntunnels = ["zone-z"]'
    file.write_text(Configuration(target=1, gateway='drain_timeout = "soon"', more=wrong).text)
    return file


# ---------------------------------------------------------------- help and usage


def test_help_teaches():
    done = gateway("--help")
    assert (done.returncode, done.stderr) == (0, "")
    words = ("--config", "check", "healthcheck", "schema", "version", "SIGTERM", "gateway --config forwards.toml")
    for word in (*words, "Asking a running gateway", *ASKING):
        assert word in done.stdout
    assert "Exit codes: 0 good, 1 failed, 2 usage or bad configuration" in done.stdout
    assert gateway("-h").stdout == done.stdout


ASKING = ("status", "explain", "enable", "disable", "drain-tunnel", "failback", "drill")


@pytest.mark.parametrize("verb", ["check", "healthcheck", "schema", "version", *ASKING])
def test_every_verb_has_help(verb: str):
    done = gateway(verb, "--help")
    assert done.returncode == 0
    assert verb in done.stdout


def test_no_arguments_is_help_and_a_usage_error():
    done = gateway()
    assert done.returncode == 2
    assert "--config" in done.stdout
    assert done.stderr == "gateway: nothing to run: name a configuration file with --config FILE\n"


@pytest.mark.parametrize(
    "arguments",
    [("frobnicate",), ("--frobnicate",), ("check",), ("--config",), ("--log-level", "loud", "version"), ("explain",)],
)
def test_what_cannot_be_understood_is_a_usage_error(arguments: tuple[str, ...]):
    done = gateway(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_version():
    done = gateway("version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


# ---------------------------------------------------------------- files


def test_check_shows_the_plan_of_a_good_file(good: Path):
    done = gateway("check", good)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("local", "interface", "lo", "echo", "127.0.0.1:1"):
        assert word in done.stdout


def test_a_plan_in_a_pipe_is_as_wide_as_it_needs_and_has_no_colours(tmp_path: Path):
    file = tmp_path / "wide.toml"
    name = "a-forward-with-a-name-that-would-not-fit-into-eighty-columns"
    more = f'[[forward]]\nname = "{name}"\nlisten = "127.0.0.1:{free_port()}"\ntarget = "127.0.0.1:1"\n'
    file.write_text(Configuration(target=1, more=more).text)
    done = gateway("check", file, env={"TERM": "xterm-256color"})
    assert name in done.stdout
    assert "\033" not in done.stdout


def test_a_warning_is_said_once(good: Path):
    good.write_text(f'{good.read_text()}hedge_after = "1s"\n')  # with one tunnel it comes to nothing
    done = gateway("check", good)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("hedge_after") == 1


def test_a_probe_that_may_not_be_sent_is_an_error_and_nothing_is_started(good: Path):
    good.write_text(good.read_text().replace('"lo"', '"lo"\nhealth = { probes = ["icmp://127.0.0.1"] }'))
    for arguments in (["check", good], ["--config", good]):
        # No capability, and no group that may ping: a fresh namespace lets none.
        unable = ["unshare", "--net", "setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"]
        done = subprocess.run(
            [*unable, *GATEWAY, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
            cwd=REPOSITORY,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert 'health.probes: found "icmp://127.0.0.1": this process may not send it' in done.stderr


def test_check_works_without_standard_output(good: Path):
    closed = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", *GATEWAY, "check", str(good)]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")


def assert_tells_all(done: subprocess.CompletedProcess[str], file: Path) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    *errors, summary = done.stderr.splitlines()
    assert all(line.startswith(f"error: {file}:") for line in errors)
    for word in ("drain_timeout", "max_conections", "zone-z"):
        assert word in done.stderr
    assert summary == f"gateway: {file}: {len(errors)} errors; nothing was started"


def test_check_shows_every_error_of_a_bad_file(bad: Path):
    assert_tells_all(gateway("check", bad), bad)


def test_a_bad_file_is_not_run(bad: Path):
    done = gateway("--config", bad)
    assert_tells_all(done, bad)


@pytest.mark.parametrize("verb", ["check", "--config"])
@pytest.mark.parametrize("kind", ["missing", "directory", "not text", "not TOML", "empty"])
def test_what_is_no_configuration_is_said_to_be_none(tmp_path: Path, verb: str, kind: str):
    file = tmp_path / "it.toml"
    match kind:
        case "directory":
            file.mkdir()
        case "not text":
            file.write_bytes(b"\xff\xfe\x00")
        case "not TOML":
            file.write_text("[gateway")
        case "empty":
            file.write_text("")
    done = gateway(verb, file)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr
    assert "nothing was started" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_file_leaves_the_ports_of_the_good_part_alone(bad: Path):
    admin = int(bad.read_text().split('[admin]\nlisten = "127.0.0.1:')[1].split('"', maxsplit=1)[0])
    assert gateway("--config", bad).returncode == 2
    assert is_refused(admin)


def test_the_schema_is_one():
    done = gateway("schema")
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12")
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {"gateway", "admin", "defaults", "tunnel", "forward"}
    assert set(schema["required"]) == {"tunnel", "forward"}
    defined = set(schema["$defs"])
    references = {part.split('"')[0] for part in done.stdout.split('"#/$defs/')[1:]}
    assert references <= defined
    assert references, "entries are defined once and referred to"


# ---------------------------------------------------------------- asking a running gateway


def test_nobody_there_is_a_failure():
    port = free_port()
    done = gateway("healthcheck", "--url", f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"http://127.0.0.1:{port}/healthz: Connection refused\n"


def test_a_running_gateway_is_well_and_ready(tmp_path: Path):
    with echo_server() as target, Running(tmp_path, Configuration(target=target)) as running:
        running.ready()
        place = f"127.0.0.1:{running.configuration.admin}"
        asked = gateway("healthcheck", "--url", f"http://{place}")
        by_environment = gateway("healthcheck", "--ready", env={"GATEWAY_ADMIN": place})
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, f"http://{place}/healthz: 200 OK\n", "")
    assert by_environment.returncode == 0
    assert by_environment.stdout == f"http://{place}/readyz: 200 OK: 1 of 1 forwards can be served\n"


@pytest.fixture
def unready() -> Iterator[int]:
    """A gateway that lives and cannot serve."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not into the test's output."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(DEADLINE)


def test_alive_is_not_ready(unready: int):
    assert gateway("healthcheck", "--url", str(unready)).returncode == 0
    done = gateway("healthcheck", "--url", str(unready), "--ready")
    assert (done.returncode, done.stdout) == (1, "")
    assert "503" in done.stderr


# ---------------------------------------------------------------- what starting costs


@pytest.mark.parametrize("arguments", [["healthcheck", "--url", "127.0.0.1:1"], ["version"], ["--help"]])
def test_what_is_asked_often_loads_little(arguments: list[str]):
    code = f"""
import sys
sys.argv = ["gateway", *{arguments!r}]
from gateway.cli import main
try:
    main()
finally:
    print("loaded", *sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, check=False, cwd=REPOSITORY
    )
    assert done.stdout.splitlines()[-1] == "loaded"
