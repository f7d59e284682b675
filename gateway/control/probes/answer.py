"""What a probe comes back with, and what an error of the kernel means for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.model import Aim, Path, ProbeOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one probe.

    Moments are monotonic seconds, and are those of the fact: `at` is when the answer came, however late we looked, or
    when the probe was given up. `rtt` is the network's round trip in seconds, None where nothing was measured;
    `expiry_at_unix` when the certificate that was shown expires. `detail` says what was met instead of what was asked
    for.
    """

    outcome: ProbeOutcome
    sent_at: float
    at: float
    rtt: float | None = None
    expiry_at_unix: float | None = None
    detail: str = ""


Ask = Callable[[Aim, Path, float], Awaitable[Answer]]
"""Asks `aim` at its first address, through `path` or not at all, for so many seconds at most.

`aim.addresses` is not empty. Raises nothing that the network, the target or this machine can bring about: that is the
answer. Owns what it opens, and has closed it when it returns or is cancelled.
"""

# Errors of our own machine: they say nothing about a tunnel or a target.
LOCAL_TROUBLE: Final = frozenset(
    {
        errno.EPERM,
        errno.EACCES,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
        errno.EAGAIN,
        errno.EAFNOSUPPORT,
        errno.EPROTONOSUPPORT,
    }
)
_SOMEBODY_THERE: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE})


def outcome_of(code: int) -> ProbeOutcome:
    """What an errno of a probe's socket amounts to; 0 is success."""
    if code == 0:
        return ProbeOutcome.PASSED
    if code in _SOMEBODY_THERE:
        return ProbeOutcome.ANSWERED
    if code in LOCAL_TROUBLE or code < 0:  # below zero: getaddrinfo's numbers, for a source address that does not fit
        return ProbeOutcome.LOCAL
    return ProbeOutcome.FAILED


def failed(code: int, *, sent_at: float, at: float) -> Answer:
    """The answer that an error of the kernel is."""
    return Answer(outcome=outcome_of(code), sent_at=sent_at, at=at, detail=text_of(code))


def text_of(code: int) -> str:
    """An errno in words; nothing for 0."""
    return os.strerror(code) if code > 0 else "the tunnel's source address does not fit" if code else ""


def words_of(error: OSError) -> str:
    """What `error` says, or its errno does."""
    return str(error) or text_of(code_of(error))


def code_of(error: OSError) -> int:
    """The errno of `error`, never 0. A reset that the loop tells of has none."""
    return error.errno or (errno.ECONNRESET if isinstance(error, ConnectionError) else errno.EIO)
