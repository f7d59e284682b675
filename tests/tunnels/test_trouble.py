import errno

import pytest

from gateway.errors import LinkError
from gateway.tunnels.trouble import trouble

FULL, NO_THREAD = OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FULL, "[Errno 24] Too many open files"),
        (NO_THREAD, "can't start new thread"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "[Errno 104] reset"),
        (ExceptionGroup("", [FULL, ExceptionGroup("", [FULL])]), "[Errno 24] Too many open files"),
        (ExceptionGroup("", [FULL, NO_THREAD]), "[Errno 24] Too many open files; can't start new thread"),
    ],
)
def test_of_the_machine(error: Exception, says: str):
    assert trouble(error) == says


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        RuntimeError("cannot schedule new futures after shutdown"),
        RecursionError("can't start new thread"),
        LinkError("of the kernel, and a failure already"),
        ExceptionGroup("", [FULL, ExceptionGroup("", [KeyError("x")])]),
    ],
)
def test_defects(error: Exception):
    assert trouble(error) is None
