"""The directory of a lab: who owns it, and everything that must not be left behind.

    /run/gateway-lab/NAME/owner        process id and start time of the owner
                         /namespaces   their names, written before they are made
                         /processes/   one file a process, see `processes`
                         /pki conf log sock

It lies in /run because namespaces and processes, like it, end with a reboot. Whoever makes a lab first sweeps away
the labs whose owners are dead: a crashed run costs nobody anything. A lock makes sure that one sweeper works at a time
and that a directory never shows without its owner.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import netns
from tests.lab.errors import LabError
from tests.lab.names import Role, namespace_name
from tests.lab.processes import ProcessId, end_recorded

ROOT = Path("/run/gateway-lab")
_ROOMS = ("processes", "pki", "conf", "log", "sock")


class LabDirectory:
    """One lab's directory. Private to root: it holds keys."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.processes = path / "processes"
        self.pki = path / "pki"
        self.conf = path / "conf"
        self.log = path / "log"
        self.sock = path / "sock"

    @property
    def owner(self) -> ProcessId:
        """The process that this lab lives and dies with. Raises LabError when the lab is being removed."""
        try:
            return ProcessId.parse((self.path / "owner").read_text())
        except FileNotFoundError as error:
            raise LabError(f"lab {self.name} is gone") from error

    @property
    def orphaned(self) -> bool:
        """Whether nobody will ever take this lab down: its owner is dead, or died before it could sign."""
        return not (self.path / "owner").exists() or not self.owner.alive


def claim(name: str, *, root: Path = ROOT) -> LabDirectory:
    """Make the directory of a new lab owned by this process, after sweeping away what dead owners left."""
    owner = ProcessId.of(os.getpid())
    with _lock(root):
        _sweep(root)
        directory = LabDirectory(root / name)
        directory.path.mkdir(mode=0o700)
        for room in _ROOMS:
            (directory.path / room).mkdir()
        (directory.path / "namespaces").write_text("\n".join(namespace_name(name, role) for role in Role))
        (directory.path / "owner").write_text(str(owner))
    return directory


def release(directory: LabDirectory) -> None:
    """End the recorded processes, delete the recorded namespaces, then the directory itself."""
    with _lock(directory.path.parent):
        _remove(directory)


def living(*, root: Path = ROOT) -> list[LabDirectory]:
    """The labs whose owners are alive, newest last."""
    with _lock(root):
        found = [each for each in _directories(root) if not each.orphaned]
        return sorted(found, key=lambda each: each.path.stat().st_mtime)


def sweep(*, root: Path = ROOT) -> list[str]:
    """Remove every lab whose owner is dead; their names."""
    with _lock(root):
        return _sweep(root)


def _sweep(root: Path) -> list[str]:
    dead = [each for each in _directories(root) if each.orphaned]
    for each in dead:
        _remove(each)
    return [each.name for each in dead]


def _remove(directory: LabDirectory) -> None:
    """In an order that can be broken off and begun again: the directory, which knows the rest, goes last."""
    end_recorded(directory.processes)
    names = directory.path / "namespaces"
    for name in names.read_text().split() if names.exists() else ():
        netns.delete(name)
    shutil.rmtree(directory.path)


def _directories(root: Path) -> list[LabDirectory]:
    return [LabDirectory(path) for path in root.iterdir() if path.is_dir()]


@contextmanager
def _lock(root: Path) -> Iterator[None]:
    root.mkdir(mode=0o700, exist_ok=True)
    with (root / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
