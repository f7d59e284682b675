"""nginx's stream module, one worker."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.peers.base import BACKLOG, CONNECT_TIMEOUT, IDLE_TIMEOUT, MAX_CONNECTIONS, Job, Peer, first_line

_MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def configuration(job: Job) -> str:
    """The file. Half-close is off by default, and would end a flow at the client's end of file."""
    return f"""\
load_module {_MODULE};
daemon off;
worker_processes 1;
pid {job.directory}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {2 * MAX_CONNECTIONS + 100}; }}
stream {{
    proxy_connect_timeout {CONNECT_TIMEOUT}s;
    proxy_timeout {IDLE_TIMEOUT}s;
    server {{
        listen {job.listen} backlog={BACKLOG};
        proxy_pass {job.target};
        proxy_half_close on;
    }}
}}
"""


def _missing() -> str | None:
    if not shutil.which("nginx"):
        return "nginx is not installed"
    return None if _MODULE.exists() else "nginx's stream module is not installed"


def _run(job: Job) -> Sequence[str]:
    return ["nginx", "-p", str(job.directory), "-c", job.write("nginx.conf", configuration(job))]


NGINX = Peer(
    name="nginx",
    what="nginx stream, one worker",
    version=lambda: first_line(["nginx", "-v"]).removeprefix("nginx version: "),
    command=_run,
    without=frozenset({"failover"}),
    missing=_missing,
)
