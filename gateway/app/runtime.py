"""A directory of the gateway's own while it runs: the sockets of its VPN clients are in it.

Private (0700), short (the path of a Unix socket has room for 107 bytes), and gone with the gateway. A gateway that was
killed leaves its own behind: who makes one removes those whose owner is gone, as the lock on each of them says.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

SYSTEM: Final = Path("/run/gateway")
_NAME: Final = "vpn-"
_PRIVATE: Final = 0o700
_LONGEST: Final = 48  # characters of its parent: what is in it needs the rest


@contextmanager
def runtime_directory(*, uid: int, env: Mapping[str, str]) -> Iterator[Path]:
    """One for as long as the block lasts. Raises OSError when none can be made anywhere."""
    path, lock = _claimed(uid, env)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _claimed(uid: int, env: Mapping[str, str]) -> tuple[Path, int]:
    """A new one, and the descriptor by which it is locked.

    Before it is, a gateway that starts at the same moment may take it for a dead one's: then another is made.
    """
    while True:
        path = _make(uid, env)
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(lock, fcntl.LOCK_EX)  # who removes it holds it meanwhile
            try:
                path.stat()
            except FileNotFoundError:
                os.close(lock)
            else:
                return path, lock


def _make(uid: int, env: Mapping[str, str]) -> Path:
    """A new one, in the first place that allows it: the system's or the user's own, else that of temporary files."""
    own = SYSTEM if uid == 0 else Path(env["XDG_RUNTIME_DIR"]) / "gateway" if env.get("XDG_RUNTIME_DIR") else None
    if own is not None and len(str(own)) <= _LONGEST:
        try:
            own.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            _tidy(own)
            return Path(tempfile.mkdtemp(prefix=_NAME, dir=own))
        except OSError:  # read-only, or somebody else's
            return Path(tempfile.mkdtemp(prefix=f"gateway-{_NAME}"))
    return Path(tempfile.mkdtemp(prefix=f"gateway-{_NAME}"))


def _tidy(parent: Path) -> None:
    """Remove what gateways that were killed have left."""
    for path in parent.glob(f"{_NAME}*"):
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # no directory, somebody else's, or just gone
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue  # its gateway lives
        finally:
            os.close(lock)
