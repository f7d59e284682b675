"""Where the control socket and the book are when nobody says.

Standard library only: the verbs, which start quickly, ask too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

SYSTEM_SOCKET: Final = Path("/run/gateway/control.sock")
SYSTEM_BOOK: Final = Path("/var/lib/gateway")
_OF_A_USER: Final = Path("gateway/control.sock")
_BOOK_OF_A_USER: Final = Path("gateway")


def default_socket(*, uid: int, env: Mapping[str, str]) -> Path | None:
    """The place for the user `uid`: the system's for root, else below XDG_RUNTIME_DIR; None where there is none."""
    if uid == 0:
        return SYSTEM_SOCKET
    runtime = env.get("XDG_RUNTIME_DIR")
    return Path(runtime) / _OF_A_USER if runtime else None


def default_book(*, uid: int, env: Mapping[str, str]) -> Path | None:
    """The book's directory for the user `uid`: the system's for root, else below XDG_STATE_HOME; None without one.

    XDG_STATE_HOME is `.local/state` below HOME where it is not set, as its specification says. A service manager that
    gives its services a place says so in STATE_DIRECTORY (systemd.exec(5)), which goes before.
    """
    if given := env.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if uid == 0:
        return SYSTEM_BOOK
    if state := env.get("XDG_STATE_HOME"):
        return Path(state) / _BOOK_OF_A_USER
    home = env.get("HOME")
    return Path(home) / ".local" / "state" / _BOOK_OF_A_USER if home else None
