"""A gateway on this machine's loopback: its file, its process, and an echo server for its target.

    with echo_server() as target, Running(tmp_path, configuration(target)) as gateway:
        gateway.ready()
        with gateway.client() as client: ...

For what needs no VPN; `tests.e2e.harness` is the one for the lab. Synchronous, for the gateway is another process.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.waiting import wait_until

DEADLINE = 30.0  # seconds for what has to come, on a machine that may be busy
REPOSITORY = Path(__file__).parents[1]
GATEWAY = (sys.executable, "-m", "gateway")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What is in the file, as far as tests care. `gateway` are further lines of [gateway], `book` as TOML has it."""

    target: int
    listen: int = field(default_factory=free_port)
    admin: int = field(default_factory=free_port)
    gateway: str = ""
    book: str = "false"
    more: str = ""

    @property
    def text(self) -> str:
        return f"""
[gateway]
environment = "test"
{self.gateway}
[admin]
listen = "127.0.0.1:{self.admin}"
book = {self.book}
[[tunnel]]
name = "local"
kind = "interface"
interface = "lo"
[[forward]]
name = "echo"
listen = "127.0.0.1:{self.listen}"
target = "127.0.0.1:{self.target}"
{self.more}
"""


@contextmanager
def echo_server() -> Iterator[int]:
    """A server that sends back what it gets; its port. Every connection ends with it."""
    server = socket.create_server(("127.0.0.1", 0))
    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def echo(peer: socket.socket) -> None:
        try:
            while data := peer.recv(65536):
                peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
        except ConnectionError:
            return  # reset, as some tests want it
        except OSError as error:
            if error.errno not in {9, 107}:  # closed by the end of the test, or already disconnected
                raise

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return  # closed: the end
            accepted.append(peer)
            threads.append(threading.Thread(target=echo, args=(peer,)))
            threads[-1].start()

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        accepting.join(DEADLINE)
        server.close()
        for peer in accepted:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                if error.errno != 107:  # ENOTCONN: it has ended by itself
                    raise
        for thread in threads:
            thread.join(DEADLINE)
        for peer in accepted:
            peer.close()


class Running:
    """One run of `gateway --config FILE`. Its log goes to a file, unless `stderr` is a descriptor of the caller's.

    A context manager: what still runs at its end is killed, and a failing test shows the log.
    """

    def __init__(
        self,
        directory: Path,
        configuration: Configuration,
        *,
        stderr: int | None = None,
        wrap: Sequence[str] = (),
    ) -> None:
        self.configuration = configuration
        self._config = directory / "forwards.toml"
        self._config.write_text(configuration.text)
        self._log = directory / "log"
        self._stderr = stderr
        self._wrap = wrap
        ours = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        self._environment = {**ours, "STATE_DIRECTORY": str(directory)}

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self._wrap, *GATEWAY, "--config", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log if self._stderr is None else self._stderr,
                cwd=REPOSITORY,
                env=self._environment,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        if error is not None:
            error.add_note("the gateway said:\n" + self.log())

    # ---------------------------------------------------------------- what it says

    def log(self) -> str:
        return self._log.read_text()

    def events(self, name: str | None = None) -> list[Mapping[str, object]]:
        """What it has logged so far; every line must be JSON."""
        whole = self.log().rpartition("\n")[0]
        made = [json.loads(line) for line in whole.splitlines()]
        return [event for event in made if name in {None, event["event"]}]

    def event(self, name: str) -> Mapping[str, object]:
        """The first event called `name`; waits for it."""
        self.until(lambda: bool(self.events(name)), what=name)
        return self.events(name)[0]

    def until(self, condition: Callable[[], bool], *, what: str) -> None:
        wait_until(condition, within=DEADLINE, what=what, detail=self.log)

    # ---------------------------------------------------------------- what it answers

    def admin(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.configuration.admin, timeout=DEADLINE)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def ready(self) -> Self:
        """Return when it serves."""

        def is_ready() -> bool:
            assert self.process.poll() is None, f"it ended before it was ready\n{self.log()}"
            try:
                return self.admin("/readyz")[0] == http.HTTPStatus.OK
            except ConnectionError:  # it does not listen yet
                return False

        self.until(is_ready, what="the gateway is ready")
        return self

    def client(self) -> socket.socket:
        """A client of its forward; the caller's."""
        return socket.create_connection(("127.0.0.1", self.configuration.listen), timeout=DEADLINE)

    # ---------------------------------------------------------------- its end

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE)


def echoes(client: socket.socket, data: bytes = b"ping") -> bool:
    """Whether `data` comes back, and nothing else before it."""
    client.sendall(data)
    back = b""
    while len(back) < len(data) and (more := client.recv(65536)):
        back += more
    return back == data


def is_refused(port: int) -> bool:
    """Whether nobody listens on `port`."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # whoever listened was closing just then
        return False
    return False
