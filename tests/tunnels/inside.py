"""The gateway's place in a lab, for tests that are the gateway: the namespace of the thread that runs them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.netns import Namespace

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(space: Namespace) -> Iterator[None]:
    """Have the calling thread, which is the main one, in a network namespace: its children and its threads are, too."""
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    within = os.open(f"/run/netns/{space.name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(within)
        yield
    finally:
        _enter(outside)
        os.close(within)
        os.close(outside)


def _enter(fd: int) -> None:
    if _libc.setns(fd, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")
