"""charon's pid file, whose place is compiled in: it makes room for one charon, and the gateway runs several.

A charon does not start while the file names a living process. So the file is taken away as soon as ours has written it
and answers: nothing reads it afterwards. Where another charon of a gateway is just starting, ours is tried again a
moment later; a charon that stays is somebody else's, and the operator has to decide. A file that names a process which
is no charon is left over from before a restart of the container or the host: it is taken away.

No mount namespace is needed, which would take CAP_SYS_ADMIN. What is needed is that the directory can be written: where
it cannot, charon does not start ("unable to create pidfile"). When one of ours ends it removes the file whoever it
names by then; a foreign charon does not miss it before it is to be started a second time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

PATH: Final = Path("/var/run/charon.pid")

_PROGRAM: Final = "charon"


def holder(path: Path) -> int | None:
    """The living charon that the file names; None when the way is free.

    Takes away a file that names another program's process. Raises OSError where it may not.
    """
    pid = _named(path)
    if pid is None:
        return None
    try:
        program = Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None  # nobody: charon sees that itself
    if program == _PROGRAM:
        return pid
    path.unlink(missing_ok=True)
    return None


def release(path: Path, pid: int) -> None:
    """Take the file away if it names `pid`, our charon's process. Raises OSError where it may not."""
    if _named(path) == pid:
        path.unlink(missing_ok=True)


def _named(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
