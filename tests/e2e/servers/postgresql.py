"""A real PostgreSQL with a cluster of its own. As root it runs as `postgres`, since it refuses to be root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from tempfile import mkdtemp

from tests.e2e.programs import attempt, program, run
from tests.e2e.servers.process import server

USER = "postgres"

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "dynamic_shared_memory_type": "mmap",
    "listen_addresses": "127.0.0.1",
}


@contextmanager
def postgresql(port: int) -> Iterator[int]:
    """PostgreSQL on `port` of 127.0.0.1, which it gives back. Superuser `USER`, no password."""
    # Not below pytest's directory, into which the user `postgres` cannot look.
    directory = Path(mkdtemp(prefix="gateway-postgresql-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, USER, USER)
        data = directory / "data"
        run(
            "setpriv", *_identity(), program("initdb"), "-D", data, "-U", USER, "-A", "trust", "--no-sync", "-E", "UTF8"
        )
        settings = _SETTINGS | {"port": str(port), "unix_socket_directories": str(directory)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        # SIGINT is its fast shutdown: nothing is left behind if the tests die, not even shared memory.
        command = [program("setpriv"), *_identity(), "--pdeathsig", "INT", "--", program("postgres"), "-D", str(data)]
        with server([*command, *options], directory / "log", ready=lambda: _is_ready(port), stop=SIGINT):
            yield port
    finally:
        shutil.rmtree(directory)


def _identity() -> list[str]:
    return ["--reuid", USER, "--regid", USER, "--init-groups"] if os.geteuid() == 0 else []


def _is_ready(port: int) -> bool:
    return attempt("pg_isready", "--quiet", "--host", "127.0.0.1", "--port", port).status == 0
