"""The standard streams: always there, so that their numbers never stand for something else.

Started with standard error closed, a process gets number 2 for the next thing that it opens: a client's socket. The
log would go to that client.
"""

from __future__ import annotations

import os
from typing import Final

_STANDARD_ERROR: Final = 2


def open_missing() -> None:
    """Open the null device in place of each standard stream that is closed. Call it before anything is opened."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - children want standard streams, too
    os.close(descriptor)
