from __future__ import annotations

import errno
import socket

import pytest

from gateway.control.probes.answer import code_of, failed, outcome_of, words_of
from gateway.model import ProbeOutcome

PASSED, ANSWERED, FAILED, LOCAL = (
    ProbeOutcome.PASSED,
    ProbeOutcome.ANSWERED,
    ProbeOutcome.FAILED,
    ProbeOutcome.LOCAL,
)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (0, PASSED),
        (errno.ECONNREFUSED, ANSWERED),
        (errno.ECONNRESET, ANSWERED),
        (errno.EHOSTUNREACH, FAILED),
        (errno.ENETUNREACH, FAILED),
        (errno.ETIMEDOUT, FAILED),
        (errno.EPROTO, FAILED),
        (errno.EMSGSIZE, FAILED),
        (errno.ENODEV, FAILED),
        (errno.EPERM, LOCAL),
        (errno.EACCES, LOCAL),
        (errno.EMFILE, LOCAL),
        (errno.ENFILE, LOCAL),
        (errno.ENOBUFS, LOCAL),
        (errno.ENOMEM, LOCAL),
        (errno.EADDRNOTAVAIL, LOCAL),
        (errno.EADDRINUSE, LOCAL),
        (errno.EAFNOSUPPORT, LOCAL),
        (socket.EAI_ADDRFAMILY, LOCAL),
    ],
)
def test_what_an_errno_amounts_to(code: int, outcome: ProbeOutcome):
    assert outcome_of(code) is outcome
    assert failed(code, sent_at=1.0, at=2.0).outcome is outcome
    assert bool(failed(code, sent_at=1.0, at=2.0).detail) is (code != 0)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), errno.EMFILE, "[Errno 24] Too many open files"),
        (ConnectionResetError(), errno.ECONNRESET, "Connection reset by peer"),
        (OSError("strange"), errno.EIO, "strange"),
    ],
)
def test_every_error_has_a_number_and_words(error: OSError, code: int, words: str):
    assert (code_of(error), words_of(error)) == (code, words)
