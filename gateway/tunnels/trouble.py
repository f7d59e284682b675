"""Trouble of this machine's own: descriptors, memory, threads, what the kernel was built without.

Clients turn what they expect into failures. The rest of it may show anywhere, also inside groups of tasks; whatever it
is, it ends an attempt of one tunnel and not the gateway, whose other tunnels work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_NO_THREAD: Final = "can't start new thread"  # of a RuntimeError, which says nothing else about it


def trouble(error: Exception) -> str | None:
    """What `error` says, if that is nothing but trouble of the machine's own; None: it is a defect. Pure."""
    leaves = list(_leaves(error))
    if all(isinstance(each, OSError) or (type(each) is RuntimeError and str(each) == _NO_THREAD) for each in leaves):
        return "; ".join(dict.fromkeys(map(str, leaves)))
    return None


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
