from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import config
from gateway.app import Gateway
from gateway.dataplane.messages import DialFailed
from gateway.model import Cause, DialFailure, Endpoint
from gateway.policy.evidence import Verdict
from tests.lab import waiting
from tests.running import DEADLINE, Configuration, Running, echo_server, echoes, free_port, is_refused


@pytest.fixture
def target() -> Iterator[int]:
    with echo_server() as port:
        yield port


# ---------------------------------------------------------------- serving

AFTER_TRAFFIC = {
    "gateway_connections_total",
    "gateway_connections_active",
    "gateway_connections_closed_total",
    "gateway_bytes_total",
    "gateway_connect_duration_seconds_count",
    "gateway_connect_duration_seconds_bucket",
    "gateway_forward_active_tunnel",
    "gateway_tunnel_up",
    "gateway_tunnel_state",
    "gateway_tunnel_transitions_total",
    "gateway_draining",
    "gateway_config_last_reload_successful",
    "gateway_config_last_reload_success_timestamp_seconds",
    "gateway_event_loop_lag_seconds",
    "gateway_build_info",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
}


def test_bytes_flow_and_are_counted_and_logged(tmp_path: Path, target: int):
    with Running(tmp_path, Configuration(target=target)) as gateway:
        gateway.ready()
        with gateway.client() as client, gateway.client() as staying:
            assert echoes(client, b"x" * 100_000)
            assert echoes(staying)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
            finished = gateway.event("session.finished")
            series = {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(gateway.admin("/metrics")[1])
                for sample in family.samples
            }
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0
        names = [event["event"] for event in gateway.events()]
    assert {name for name, _ in series} >= AFTER_TRAFFIC
    assert series["gateway_connections_total", (("forward", "echo"), ("result", "ok"))] == 2
    assert series["gateway_connections_active", (("forward", "echo"), ("tunnel", "local"))] == 1
    assert series["gateway_connections_closed_total", (("forward", "echo"), ("reason", "eof"))] == 1
    for direction in ("to_target", "to_client"):
        labels = (("direction", direction), ("forward", "echo"), ("tunnel", "local"))
        assert series["gateway_bytes_total", labels] == 100_004
    expected = {"forward": "echo", "tunnel": "local", "target": f"127.0.0.1:{target}", "reason": "eof", "result": "ok"}
    assert finished.items() >= {**expected, "to_target": 100_000, "to_client": 100_000, "environment": "test"}.items()
    assert names[0] == "gateway.starting"
    assert names[-1] == "gateway.stopped"
    assert names.index("tunnel.transition") < names.index("gateway.started") < names.index("session.finished")


def test_readiness_tells_each_forward(tmp_path: Path, target: int):
    nowhere = free_port()
    more = f"""
[[tunnel]]
name = "missing"
kind = "interface"
interface = "tun-missing"
[[forward]]
name = "nowhere"
listen = "127.0.0.1:{nowhere}"
target = "127.0.0.1:{target}"
tunnels = ["missing"]
"""
    with Running(tmp_path, Configuration(target=target, more=more)) as gateway:
        body = json.loads(gateway.ready().admin("/readyz")[1])
        # The reset comes at its first call or while it connects: both happen.
        with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", nowhere), DEADLINE) as client:
            client.recv(1)
        assert gateway.event("session.finished")["result"] == "no_tunnel"
    by_name = {each["name"]: each for each in body["forwards"]}
    assert by_name["echo"] == {
        "name": "echo",
        "active": "local",
        "servable": True,
        "why": {"missing": "down: device_gone"},
    }
    assert not by_name["nowhere"]["servable"]


@pytest.mark.parametrize(
    ("mode", "lines"), [("all", {"eof", "client_reset"}), ("failures", {"client_reset"}), ("off", set())]
)
def test_the_session_log_says_what_it_is_asked_to(tmp_path: Path, target: int, mode: str, lines: set[str]):
    with Running(tmp_path, Configuration(target=target, gateway=f'session_log = "{mode}"')) as gateway:
        gateway.ready()
        with gateway.client() as client:
            assert echoes(client)
        with gateway.client() as client:
            assert echoes(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gateway.until(lambda: '_total{forward="echo",reason="eof"} 1' in gateway.admin("/metrics")[1], what="eof")
        gateway.until(lambda: 'reason="client_reset"} 1' in gateway.admin("/metrics")[1], what="reset")
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0
        assert {event["reason"] for event in gateway.events("session.finished")} == lines


# ---------------------------------------------------------------- standard streams


def test_closed_standard_streams_are_nobody_elses_descriptors(tmp_path: Path, target: int):
    """The log of a gateway that was started without standard error must not be written to a client."""
    closed = ("/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")
    with Running(tmp_path, Configuration(target=target), wrap=closed) as gateway:
        gateway.ready()
        clients = [gateway.client() for _ in range(4)]
        try:
            for client in clients:
                assert echoes(client, b"y" * 10_000)
        finally:
            for client in clients:
                client.close()
        streams = {Path(f"/proc/{gateway.process.pid}/fd/{number}").readlink() for number in range(3)}
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0
        assert gateway.log() == ""
    assert streams == {Path("/dev/null")}


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path, target: int):
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(writing, False)
        os.write(writing, b"\n" * 4096)
        os.set_blocking(writing, True)
        with Running(tmp_path, Configuration(target=target), stderr=writing) as gateway:
            gateway.ready()
            for _ in range(20):
                with gateway.client() as client:
                    assert echoes(client)
            assert gateway.admin("/healthz")[0] == 200
            gateway.signal(signal.SIGTERM)
            assert gateway.exit_code() == 0
    finally:
        os.close(reading)
        os.close(writing)


def test_a_hangup_is_refused_and_ends_nothing(tmp_path: Path, target: int):
    with Running(tmp_path, Configuration(target=target)) as gateway:
        gateway.ready()
        with gateway.client() as client:
            assert echoes(client)
            gateway.signal(signal.SIGHUP)
            gateway.until(lambda: bool(gateway.events("config.reload_refused")), what="the refusal is logged")
            assert echoes(client, b"still here")
        with gateway.client() as another:
            assert echoes(another)
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(tmp_path: Path, target: int, number: signal.Signals):
    with Running(tmp_path, Configuration(target=target)) as gateway:
        gateway.ready()
        with gateway.client() as client:
            assert echoes(client)
            gateway.signal(number)
            gateway.until(lambda: is_refused(gateway.configuration.listen), what="the listener is closed")
            status, body = gateway.admin("/readyz")
            assert (status, json.loads(body)["reason"]) == (503, "the gateway is draining")
            assert gateway.admin("/healthz")[0] == 200
            assert "gateway_draining 1.0" in gateway.admin("/metrics")[1]
            assert echoes(client, b"still here")
            assert gateway.process.poll() is None
        assert gateway.exit_code() == 0
        assert gateway.event("gateway.stopped")["sessions_reset"] == 0


def test_a_drain_ends_at_its_deadline_with_a_reset(tmp_path: Path, target: int):
    with Running(tmp_path, Configuration(target=target, gateway='drain_timeout = "200ms"')) as gateway:
        gateway.ready()
        with gateway.client() as client:
            assert echoes(client)
            gateway.signal(signal.SIGTERM)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert gateway.exit_code() == 0
        assert gateway.event("gateway.drain_timed_out")["sessions"] == 1
        assert gateway.event("gateway.stopped")["sessions_reset"] == 1
        assert gateway.event("session.finished")["reason"] == "drain"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(tmp_path: Path, target: int, number: signal.Signals):
    with Running(tmp_path, Configuration(target=target, gateway='drain_timeout = "1h"')) as gateway:
        gateway.ready()
        with gateway.client() as client:
            assert echoes(client)
            gateway.signal(signal.SIGTERM)
            gateway.event("gateway.draining")
            gateway.signal(number)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert gateway.exit_code() == 1
        assert gateway.event("gateway.killed")["signal"] == number.name


def test_during_the_drain_delay_it_accepts_though_it_is_not_ready(tmp_path: Path, target: int):
    with Running(tmp_path, Configuration(target=target, gateway='drain_delay = "1s"\ndrain_timeout = "1h"')) as gateway:
        gateway.ready()
        gateway.signal(signal.SIGTERM)
        gateway.until(lambda: gateway.admin("/readyz")[0] == 503, what="it is not ready")
        with gateway.client() as client:
            assert echoes(client), "a balancer that has not noticed yet loses nothing"
            gateway.until(lambda: is_refused(gateway.configuration.listen), what="the listener is closed")
            assert echoes(client)
        assert gateway.exit_code() == 0


def test_a_signal_before_the_start_is_over_ends_it(tmp_path: Path, target: int):
    with Running(tmp_path, Configuration(target=target)) as gateway:
        gateway.event("gateway.starting")
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0


# ---------------------------------------------------------------- not starting


def test_a_port_in_use_ends_it_with_a_line_that_says_which(tmp_path: Path, target: int):
    other = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        more = f'[[forward]]\nname = "other"\nlisten = "127.0.0.1:{other}"\ntarget = "127.0.0.1:{target}"\n'
        made = Configuration(target=target, listen=taken.getsockname()[1], more=more)
        with Running(tmp_path, made) as gateway:
            assert gateway.exit_code() == 1
            (failed,) = gateway.events("gateway.failed")
            assert failed["error"] == (
                f'forward "echo": cannot listen on 127.0.0.1:{made.listen}: Address already in use'
            )
            assert "Traceback" not in gateway.log()
    assert is_refused(other)
    assert is_refused(made.admin)


def test_an_admin_port_in_use_ends_it_too(tmp_path: Path, target: int):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        made = Configuration(target=target, admin=taken.getsockname()[1])
        with Running(tmp_path, made) as gateway:
            assert gateway.exit_code() == 1
            (failed,) = gateway.events("gateway.failed")
            where = f"[admin] listen: cannot listen on 127.0.0.1:{made.admin}: Address already in use"
            assert str(failed["error"]).startswith(where)
    assert is_refused(made.listen)


# ---------------------------------------------------------------- what only shows from within


async def eventually(condition: Callable[[], bool], *, what: str) -> None:
    async def holds() -> bool:
        return condition()

    await waiting.eventually(holds, within=DEADLINE, what=what)


def inside(tmp_path: Path, made: Configuration) -> Gateway:
    """A gateway for this process's loop."""
    file = tmp_path / "forwards.toml"
    file.write_text(made.text)
    return Gateway(config.load(file), descriptors=10_000)


async def test_a_tunnel_that_falls_during_a_drain_opens_no_listener_again(tmp_path: Path, target: int):
    made = Configuration(target=target)
    gateway = inside(tmp_path, made)
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        run = group.create_task(gateway.run())
        await gateway._controller.settled.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", made.listen)
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        gateway._on_signal(signal.SIGTERM)
        await eventually(lambda: is_refused(made.listen), what="the listener is closed")
        generation = gateway._controller.routing_table().generation
        gateway._controller.post(Verdict(tunnel="local", cause=Cause.STALL))
        await eventually(lambda: gateway._controller.routing_table().generation > generation, what="the fall is known")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", made.listen)
        writer.write(b"pong")
        assert await reader.readexactly(4) == b"pong"
        writer.close()
        assert await run == 0


async def test_a_dial_that_is_refused_has_the_kernel_read_again_and_costs_no_more(tmp_path: Path, target: int):
    """Ten thousand clients may be refused between a tunnel's fall and the news of it."""
    gateway = inside(tmp_path, Configuration(target=target))
    asked: list[tuple[object, object]] = []
    gateway._senses._watcher.watch = lambda *what: asked.append(what)  # type: ignore[method-assign]
    gateway._senses.follow(gateway._controller.routing_table())
    failure = DialFailed(
        forward="echo", tunnel="local", target=Endpoint("127.0.0.1", target), reason=DialFailure.NOT_PROVEN
    )
    for _ in range(3):
        gateway._dial_failed(failure)
    assert asked[0] == ({"lo"}, {("lo", "127.0.0.1")})
    assert len(asked) == 4
    assert all(again[1] is asked[0][1] for again in asked), "what matters is not worked out anew"
    gateway._plane.stop()
