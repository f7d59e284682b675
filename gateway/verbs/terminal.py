"""Where tables are written to: as wide as the terminal, or wide enough for anything in a file or a pipe."""

from __future__ import annotations

from typing import Final

from rich.console import Console

_WIDE: Final = 160


def console() -> Console:
    """Standard output. Colours only on a terminal, and not where NO_COLOR is set."""
    made = Console(highlight=False)
    if not made.is_terminal:
        made.width = _WIDE
    return made
