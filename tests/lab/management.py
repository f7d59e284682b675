"""A client of OpenVPN's management interface: asks what state the other side is in, and gives orders.

There may be one such client at a time (a second one connects and hears nothing), so it never stays longer than it
must. `state` is asked, never `state on all`: that replays history, and an old CONNECTED looks like success.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.errors import LabError, NotReadyError

_PATIENCE = 20.0  # seconds for the socket to appear and for each answer
_PAUSE = 0.01


class Management:
    """A conversation over the Unix socket at `path`, which may appear a moment later. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unread = b""

    def __enter__(self) -> Self:
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(_PATIENCE)
            try:
                self._socket.connect(str(self._path))
            except (FileNotFoundError, ConnectionRefusedError) as error:  # it appears at bind(), before listen()
                self._socket.close()
                if time.monotonic() > deadline:
                    raise NotReadyError(f"management socket {self._path}", _PATIENCE) from error
                time.sleep(_PAUSE)
            else:
                return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def command(self, line: str) -> str:
        """Send a command of one line of answer, and return what follows "SUCCESS: ". Raises LabError on "ERROR:"."""
        self._send(line)
        while True:
            answer = self._line(time.monotonic() + _PATIENCE)
            if answer.startswith("SUCCESS:"):
                return answer.removeprefix("SUCCESS:").strip()
            if answer.startswith("ERROR:"):
                raise LabError(f"{self._path.name}: {line}: {answer}")

    def wait_connected(self, within: float) -> None:
        """Return when the state is CONNECTED. Raises NotReadyError with the last state heard of."""
        deadline = time.monotonic() + within
        self._send("state on")
        self._send("state")
        heard = "nothing"
        while True:
            try:
                line = self._line(deadline)
            except TimeoutError as error:
                raise NotReadyError(f"{self._path.name} connected", within, heard) from error
            fields = line.removeprefix(">STATE:").split(",")
            if fields[1:3] == ["CONNECTED", "SUCCESS"]:
                return
            heard = line

    def _send(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def _line(self, deadline: float) -> str:
        """The next line. Raises TimeoutError at the deadline, LabError at the end of the conversation."""
        while b"\n" not in self._unread:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(65536)
            if not data:
                raise LabError(f"{self._path.name}: the other side hung up")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")
