"""Load by real programs: iperf3 moves bulk both ways through a forward, wrk opens one connection after the other.

iperf3's server is a process of the lab beside the company's servers; the clients live as long as the context. What they
moved is for the gateway's own counters to say.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.e2e.programs import ENVIRONMENT, program
from tests.lab.lab import Lab
from tests.lab.names import Role
from tests.lab.processes import mortal
from tests.lab.waiting import wait_until

BULK_PORT = 5201
_SERVER = "iperf3"
_LISTENS = "Server listening"
_PATIENCE = 10.0  # seconds for a server to start, on a machine that may be busy
_FOREVER = 86_400  # seconds; the context ends it


def serve_bulk(lab: Lab) -> None:
    """Have the company's iperf3 server run, as new: one that lost its client may go on waiting for it."""
    said = lab.processes.log(_SERVER).count(_LISTENS)
    if _SERVER in lab.processes.names():
        lab.processes.restart(_SERVER)
    else:
        argv = [program("iperf3"), "--server", "--port", str(BULK_PORT), "--forceflush"]
        lab.processes.spawn(_SERVER, argv, lab.spaces[Role.CORP])
    wait_until(  # not by connecting: a connection that brings no test would keep it busy
        lambda: lab.processes.log(_SERVER).count(_LISTENS) > said,
        within=_PATIENCE,
        what="iperf3 serves",
        detail=lambda: lab.processes.log(_SERVER),
    )


@contextmanager
def bulk(lab: Lab, port: int, *, flows: int) -> Iterator[None]:
    """So many flows each way through the forward on `port`, as fast as they can. `serve_bulk` comes first."""
    argv = [program("iperf3"), "--client", "127.0.0.1", "--port", str(port), "--parallel", str(flows)]
    with _clients(lab, [*argv, "--bidir", "--time", str(_FOREVER)]):
        yield


@contextmanager
def churn(lab: Lab, port: int, *, clients: int) -> Iterator[None]:
    """So many clients, each of which reads the page behind the forward on `port` on a new connection every time."""
    argv = [program("wrk"), "--threads", "1", "--connections", str(clients), "--duration", f"{_FOREVER}s"]
    with _clients(lab, [*argv, "--header", "Connection: close", f"http://127.0.0.1:{port}/"]):
        yield


@contextmanager
def _clients(lab: Lab, *commands: Sequence[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for argv in commands:
            process = stack.enter_context(
                subprocess.Popen(
                    lab.cloud.command(mortal(argv)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=ENVIRONMENT,
                )
            )
            stack.callback(process.kill)  # before it is waited for
        yield
