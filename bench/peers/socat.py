"""socat, a process per connection: what many people put in a container first."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from bench.peers.base import CONNECT_TIMEOUT, Job, Peer


def _missing() -> str | None:
    return None if shutil.which("socat") else "socat is not installed"


def _version() -> str:
    text = subprocess.run(["socat", "-V"], capture_output=True, text=True, check=True).stdout
    return " ".join(text.splitlines()[1].split()[:3])


def _run(job: Job) -> Sequence[str]:
    place = job.place
    listen = f"TCP4-LISTEN:{job.listen_port},bind={place.listen},reuseaddr,fork,backlog=4096,nodelay"
    # -t: how long the other direction may go on after one has ended; the default cuts it off after 0.5 s.
    return ["socat", "-t", "60", listen, f"TCP4:{job.target},nodelay,connect-timeout={CONNECT_TIMEOUT}"]


SOCAT = Peer(
    name="socat",
    what="socat, fork",
    version=_version,
    command=_run,
    # 8,000 processes are no comparison; one with fewer sessions would not be the same measure.
    without=frozenset({"failover", "memory"}),
    missing=_missing,
)
