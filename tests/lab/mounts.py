"""Processes that see other files than everybody else: what a program has compiled in is theirs alone.

A view holds for one command and for what it starts. It is a mount namespace, which ends with the last of them: nothing
is mounted for anybody else, and nothing has to be undone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.state import LabDirectory

_RUN = Path("/run")
_BIND = 'while [ "$1" != -- ]; do mount --rbind "$1" "$2" || exit; shift 2; done; shift; exec "$@"'


class View:
    """What the process called `name` sees: a /run of its own, and for each path of `instead` another one.

    The lab's own directory, though it lies in /run, is where it always is. Both paths of `instead` must be there, and
    be of one kind: files, or directories.
    """

    def __init__(self, directory: LabDirectory, name: str, instead: Mapping[Path, Path] | None = None) -> None:
        self.run = directory.path / "run" / name
        self._lab = directory.path
        self._instead = dict(instead or {})

    def clear(self) -> None:
        """Make /run empty, as a reboot would: after SIGKILL it holds what a program takes for another life of its own.

        To be called before the first process, and only when there is none.
        """
        shutil.rmtree(self.run, ignore_errors=True)
        self._way.mkdir(parents=True)

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv` as a command that sees this. It replaces itself, so the process keeps its id."""
        return ["unshare", "--mount", "--", *self._bind(argv)]

    def family(self, argv: Sequence[str]) -> list[str]:
        """`argv` as a command that sees this, and that takes all its descendants with it, however it ends.

        For programs that start others which do not die with them. The process is the parent of `argv`, to which
        signals other than SIGKILL are not passed on.
        """
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", *self._bind(argv)]

    @property
    def _way(self) -> Path:
        """Where the lab's directory is to be seen once `run` lies over /run."""
        return self.run / self._lab.relative_to(_RUN)

    def _bind(self, argv: Sequence[str]) -> list[str]:
        pairs = [(self._lab, self._way), (self.run, _RUN), *((there, here) for here, there in self._instead.items())]
        return ["sh", "-c", _BIND, "sh", *(str(path) for pair in pairs for path in pair), "--", *argv]
