"""The control socket: who may ask, where it is, and its end. Real curl, and real processes of other users."""

import asyncio
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.admin.control import ControlServer
from gateway.errors import ListenError
from tests.admin.fakes import FakeGateway

NOBODY = 65534
DEADLINE = 20

_ASK_AS_NOBODY = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as asking:
    asking.settimeout(10)
    try:
        asking.connect(sys.argv[1])
    except PermissionError:
        print("no way in")
        sys.exit()
    asking.sendall(b"GET /api/v1/status HTTP/1.0\\r\\n\\r\\n")
    answer = b""
    while more := asking.recv(65536):
        answer += more
    print(answer.decode().splitlines()[0], answer.decode().splitlines()[-1], sep="\\n")
"""


async def run(*command: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=DEADLINE, check=False
    )


@asynccontextmanager
async def served(fake: FakeGateway, place: Path | None, **env: str) -> AsyncIterator[ControlServer]:
    server = fake.control(**env)
    await server.start(None if place is None else str(place))
    try:
        yield server
    finally:
        await server.close()


async def curl(place: Path, path: str, *options: str) -> tuple[int, object]:
    """Status and JSON of an answer to the real curl."""
    said = ("-sS", "--max-time", "10", "--unix-socket", str(place), "-w", "\n%{http_code}")
    done = await run("curl", *said, *options, f"http://gateway{path}")
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own may not be entered."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


# ---------------------------------------------------------------- who


async def test_curl_asks_and_changes(fake, control):
    status, document = await curl(control.path, "/api/v1/status")
    assert (status, [each["name"] for each in document["forwards"]]) == (200, ["hello", "ldap"])
    status, document = await curl(
        control.path, "/api/v1/tunnels/zone-a/drain", "--json", json.dumps({"timeout": "30s"})
    )
    assert (status, document["admin"], document["drained_for_seconds"]) == (200, "draining", 30.0)
    [(_, _, _, timeout, by)] = fake.operations.asked
    assert timeout == 30.0
    assert by.startswith(f"uid {os.getuid()}, pid ")


async def test_who_asks_is_told_by_the_kernel(fake, control):
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--unix-socket", str(control.path), "-d", "", "http://gateway/api/v1/tunnels/zone-a/enable",
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    assert fake.operations.asked[0][-1] == f"uid {os.getuid()}, pid {process.pid}"


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
async def test_another_user_finds_no_way_in(fake, open_directory):
    async with served(fake, open_directory / "control.sock") as server:
        done = await run(sys.executable, "-c", _ASK_AS_NOBODY, str(server.path))
    assert done.stdout == "no way in\n", done.stderr
    assert fake.asked == 0


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
async def test_another_user_is_refused_though_the_mode_lets_it_in(fake, open_directory, logged):
    async with served(fake, open_directory / "control.sock") as server:
        server.path.chmod(0o666)
        done = await run(sys.executable, "-c", _ASK_AS_NOBODY, str(server.path))
    status, body = done.stdout.splitlines()
    assert "403" in status, done.stderr
    assert json.loads(body)["error"] == f"uid {NOBODY} may not: only root and uid {os.geteuid()}"
    assert fake.asked == 0
    [refusal] = [event for event in logged if event["event"] == "control.refused"]
    assert (refusal["uid"], refusal["log_level"]) == (NOBODY, "warning")


# ---------------------------------------------------------------- where


async def test_the_socket_is_private(control):
    assert stat.S_IMODE(os.lstat(control.path).st_mode) == 0o600


async def test_without_a_configured_place_the_default_one_is_taken(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    async with served(fake, None, XDG_RUNTIME_DIR=str(tmp_path)) as server:
        assert server.path == tmp_path / "gateway" / "control.sock"
        assert server.path.is_socket()


@pytest.mark.parametrize("env", [{}, {"XDG_RUNTIME_DIR": "/nowhere/at/all"}])
async def test_a_default_place_that_cannot_be_had_is_a_warning(fake, monkeypatch, logged, env):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    async with served(fake, None, **env) as server:
        assert server.path is None
    [warning] = logged
    assert (warning["event"], warning["log_level"]) == ("control.unavailable", "warning")


async def test_a_configured_place_that_cannot_be_had_is_an_error(fake):
    server = fake.control()
    with pytest.raises(ListenError, match=r"\[admin\] socket: cannot listen on /nowhere/at/all"):
        await server.start("/nowhere/at/all")
    assert server.path is None
    await server.close()


async def test_a_second_gateway_says_who_is_in_its_place(fake, control):
    second = fake.control()
    with pytest.raises(ListenError, match=f"{control.path}: a running gateway answers there"):
        await second.start(str(control.path))
    await second.close()
    assert (await curl(control.path, "/api/v1/status"))[0] == 200


async def test_the_socket_of_a_dead_gateway_is_replaced(fake, place):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    async with served(fake, place):
        assert (await curl(place, "/api/v1/status"))[0] == 200


# ---------------------------------------------------------------- its end


async def test_closes_removes_its_file_and_starts_again(fake, place, logged):
    server = fake.control()
    for _ in range(2):
        await server.start(str(place))
        await server.close()
        await server.close()
        assert not place.exists()
    assert [(event["event"], event["path"]) for event in logged] == [
        ("control.started", str(place)),
        ("control.stopped", str(place)),
    ] * 2


async def test_another_gateways_file_is_left_to_it(fake, place):
    async with served(fake, place) as first:
        place.rename(place.with_name("moved"))
        async with served(fake, place):
            await first.close()
            assert place.is_socket()


async def test_close_does_not_wait_for_idle_clients(fake, place):
    async with served(fake, place) as server:
        with socket.socket(socket.AF_UNIX) as idle:
            idle.connect(str(place))
            async with asyncio.timeout(5):
                await server.close()


async def test_connections_that_are_held_keep_nobody_out(control):
    held = []
    for _ in range(100):
        held.append(await asyncio.open_unix_connection(str(control.path)))  # noqa: PERF401 - awaited one by one
    assert (await curl(control.path, "/api/v1/status"))[0] == 200
    for _, writer in held:
        writer.close()
