"""The project's image, built without a Docker engine, and containers of it in a lab's namespace.

`buildah run` ignores what an image says is to be started, so it is read from the image here, and carried out to the
letter: entrypoint and command, health check, user. A container shares the network of the namespace it is put into.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.commands import run
from tests.lab.lab import Lab
from tests.lab.processes import ProcessId
from tests.lab.waiting import wait_until

CONFIGURATION = "/etc/gateway/forwards.toml"

_ROOT = Path(__file__).parents[2]
_TAG = "gateway-under-test"
_BUILD = 1200.0  # seconds: the first build makes the base and downloads everything
_START = 10.0  # seconds
_RUN = ("buildah", "run", "--isolation", "chroot")


class Privileges(Enum):
    """What a container may do."""

    NONE = "none"  # what the image says
    NETWORK = "network"  # --user 0 --cap-drop ALL --cap-add NET_ADMIN --device /dev/net/tun


@dataclass(frozen=True, slots=True)
class Image:
    """What an image says of itself, in Docker's words."""

    name: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    healthcheck: tuple[str, ...]
    user: str


def build() -> Image:
    """Build the image from the project's Dockerfile, as `make image` does. Raises CalledProcessError."""
    subprocess.run(
        [_ROOT / "scripts" / "build-image", _TAG], check=True, timeout=_BUILD, env={**os.environ, "ENGINE": "buildah"}
    )
    said = json.loads(run(["buildah", "inspect", "--type", "image", f"localhost/{_TAG}"]))["Docker"]["config"]
    kind, *healthcheck = said["Healthcheck"]["Test"]
    assert kind == "CMD", "a health check by a shell would need one in the image"
    return Image(
        name=f"localhost/{_TAG}",
        entrypoint=tuple(said["Entrypoint"]),
        command=tuple(said["Cmd"]),
        healthcheck=tuple(healthcheck),
        user=said["User"],
    )


class Container:
    """A container of `image` in the cloud of `lab`. A context manager: made on entry, ended and removed on exit.

    `configuration` takes the place of the one in the image; `read_only` are further places of the machine that it sees
    as they are. `privileges` are those that a platform is asked for; without one it runs as the image says.
    """

    def __init__(
        self,
        image: Image,
        lab: Lab,
        *,
        configuration: Path | None = None,
        read_only: Sequence[Path] = (),
        privileges: Privileges = Privileges.NONE,
    ) -> None:
        self._image = image
        self._lab = lab
        self._privileges = privileges
        self._mounts = [] if configuration is None else ["--volume", f"{configuration}:{CONFIGURATION}:ro"]
        for each in read_only:
            self._mounts += ["--volume", f"{each}:{each}:ro"]

    def __enter__(self) -> Self:
        self._name = run(["buildah", "from", "--pull=never", self._image.name]).strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lab.processes.kill(self._name)
        run(["buildah", "rm", self._name])

    def start(self) -> None:
        """Start what the image says is to be started."""
        self._lab.processes.spawn(
            self._name, self._command(*self._image.entrypoint, *self._image.command), self._lab.cloud
        )

    def stop(self) -> int:
        """End it as a container platform does, by SIGTERM, and return its exit status."""
        main = self._main()
        assert main is not None, self.log()
        main.signal(signal.SIGTERM)
        return self._lab.processes.wait(self._name, _START)

    def wait_healthy(self) -> None:
        """Return when the health check says so. Raises NotReadyError with what the process said."""
        wait_until(self.healthy, within=_START, what="the container healthy", detail=self.log)

    def healthy(self) -> bool:
        """Whether the image's health check says so."""
        return self.call(*self._image.healthcheck).returncode == 0

    def call(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run one more command in the container until it ends, as the image's user."""
        return subprocess.run(
            self._lab.cloud.command(self._command(*argv)), capture_output=True, text=True, check=False, timeout=_START
        )

    def log(self) -> str:
        """All that the started process has said."""
        return self._lab.processes.log(self._name)

    def _command(self, *argv: str) -> Sequence[str]:
        match self._privileges:
            case Privileges.NONE:
                return [*_RUN, *self._mounts, self._name, "--", *argv]
            case Privileges.NETWORK:
                asked = ["--user", "0", "--cap-add", "CAP_NET_ADMIN"]
                # `--cap-drop ALL` of buildah drops what was added, too: the rest is dropped inside.
                kept = ["setpriv", "--bounding-set", "-all,+net_admin", "--inh-caps", "-all", "--"]
                return [*_RUN, *asked, *self._mounts, self._name, "--", *kept, *argv]

    def _main(self) -> ProcessId | None:
        """The container's main process: behind buildah and its helpers, which pass no signals on."""
        outer = self._lab.processes.id(self._name)
        return None if outer is None else next(filter(None, map(_inside, _descendants(outer.pid))), None)


def _descendants(pid: int) -> Iterator[int]:
    """The ids of all processes below `pid`, parents first."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)


def _inside(pid: int) -> ProcessId | None:
    """`pid`, if its program is a file of the container's: a helper's is one in memory."""
    root, program = (Path(f"/proc/{pid}/{link}").readlink() for link in ("root", "exe"))
    return ProcessId.of(pid) if root != Path("/") and program.is_relative_to(root) else None
