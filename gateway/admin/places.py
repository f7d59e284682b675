"""Where the control socket is when nobody says. Standard library only: the verbs, which start quickly, ask too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

SYSTEM_SOCKET: Final = Path("/run/gateway/control.sock")
_OF_A_USER: Final = Path("gateway/control.sock")


def default_socket(*, uid: int, env: Mapping[str, str]) -> Path | None:
    """The place for the user `uid`: the system's for root, else below XDG_RUNTIME_DIR; None where there is none."""
    if uid == 0:
        return SYSTEM_SOCKET
    runtime = env.get("XDG_RUNTIME_DIR")
    return Path(runtime) / _OF_A_USER if runtime else None
