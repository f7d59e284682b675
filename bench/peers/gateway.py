"""The gateway itself, with every option on that costs something; and its variants for comparing options."""

from __future__ import annotations

import platform
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.peers.base import (
    ALLOW,
    CONNECT_TIMEOUT,
    IDLE_TIMEOUT,
    KEEPALIVE_COUNT,
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    MAX_CONNECTIONS,
    USER_TIMEOUT,
    Job,
    Peer,
)

ROOT = Path(__file__).parents[2]


def toml_value(text: str) -> str:
    """`text` as a TOML value: as it is if it already is one, else as a string."""
    try:
        tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return f'"{text}"'
    return text


def _array(texts: Sequence[str]) -> str:
    """A TOML array of strings."""
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


def configuration(job: Job, options: Mapping[str, str]) -> str:
    """The gateway's configuration file for a job. `options` are further keys of [gateway], or others' values."""
    settings = {"environment": '"bench"', "session_log": '"off"'}
    settings.update({key: toml_value(value) for key, value in options.items()})
    names = [f"tunnel-{number}" for number, _ in enumerate(job.place.devices)]
    lines = ["[gateway]", *(f"{key} = {value}" for key, value in settings.items()), ""]
    lines += ["[admin]", f'listen = "127.0.0.1:{job.admin_port}"', f'socket = "{job.directory}/control.sock"']
    lines += ["book = false", ""]  # the machine's own may be in use
    for name, device in zip(names, job.place.devices, strict=True):
        lines += ["[[tunnel]]", f'name = "{name}"', 'kind = "interface"', f'interface = "{device}"', ""]
    lines += [
        "[[forward]]",
        'name = "bench"',
        f'listen = "{job.listen}"',
        f'target = "{job.target}"',
        f"tunnels = {_array(names)}",
        f"allow = {_array(ALLOW)}",
        f"max_connections = {MAX_CONNECTIONS}",
        f'connect_timeout = "{CONNECT_TIMEOUT}s"',
        f'idle_timeout = "{IDLE_TIMEOUT}s"',
        f'tcp_user_timeout = "{USER_TIMEOUT}s"',
        f'keepalive_idle = "{KEEPALIVE_IDLE}s"',
        f'keepalive_interval = "{KEEPALIVE_INTERVAL}s"',
        f"keepalive_count = {KEEPALIVE_COUNT}",
    ]
    return "\n".join(lines) + "\n"


def _version() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "no commit"
    return f"{version('tunnel-gateway')} ({commit}), Python {platform.python_version()}, uvloop {version('uvloop')}"


def gateway(name: str, what: str, options: Mapping[str, str], *, only: frozenset[str] | None = None) -> Peer:
    """The gateway under `name`, with these keys in [gateway]."""

    def command(job: Job) -> Sequence[str]:
        file = job.write("forwards.toml", configuration(job, options))
        return [sys.executable, "-m", "gateway", "--config", file]

    return Peer(name=name, what=what, version=_version, command=command, only=only)
