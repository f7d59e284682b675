"""Taking the place of the control socket: private from its first moment, and never from a gateway that lives.

The file gets its mode before it has a name: on Linux a socket's file takes over the mode of the socket, less the umask.
Two gateways that start together cannot take a dead one's place both: whoever holds the directory's lock looks, replaces
and listens before the other may look.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import ListenError

_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_BACKLOG: Final = 128
_WHERE: Final = "[admin] socket"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A place that is ours. `listening` is non-blocking, and its owner's to close."""

    path: Path
    listening: socket.socket
    inode: tuple[int, int]  # device and number of the file

    def release(self) -> None:
        """Remove the file, if it is still this one: someone may have put another in its place."""
        try:
            if _inode(os.lstat(self.path)) == self.inode:
                self.path.unlink()
        except FileNotFoundError:
            return  # removed already, by whoever tidies there


def claim(path: Path) -> Claim:
    """Listen at `path`, mode 0600, in place of a dead gateway's socket if there is one; makes the directory.

    Raises ListenError, and leaves all as it was, when that cannot be, or a living gateway answers there.
    """
    try:
        path.parent.mkdir(mode=_PRIVATE_DIRECTORY, exist_ok=True)
        with _alone_in(path.parent):
            return _listen(path)
    except OSError as exc:
        raise _failed(path, exc.strerror or str(exc)) from exc


def _listen(path: Path) -> Claim:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound = False
    try:
        os.fchmod(listening.fileno(), _PRIVATE_FILE)
        try:
            listening.bind(str(path))
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            _remove_the_dead(path)
            listening.bind(str(path))
        bound = True
        path.chmod(_PRIVATE_FILE)  # what an odd umask took from its owner; until it listens nobody can connect
        listening.listen(_BACKLOG)
        listening.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        return Claim(path=path, listening=listening, inode=_inode(os.lstat(path)))
    except BaseException:
        listening.close()
        if bound:
            path.unlink(missing_ok=True)
        raise


def _remove_the_dead(path: Path) -> None:
    """Remove the socket of a gateway that is gone. Raises ListenError for anything else that is there."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise _failed(path, "something else than a socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError as exc:  # it has so much to do that it does not accept
            raise _failed(path, "a running gateway answers there") from exc
    raise _failed(path, "a running gateway answers there")


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Hold the lock of `directory`. Raises ListenError rather than wait: it is held for a moment only, by a start."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise _failed(directory, "another gateway is starting there just now") from exc
    finally:
        os.close(descriptor)


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _failed(path: Path, why: str) -> ListenError:
    return ListenError([(_WHERE, str(path), why)])
