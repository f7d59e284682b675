"""Backoff: when a VPN client that failed may try again, and with which server. Pure; chance is passed in.

    failure 1, 2, 3 …  of one server     1 s, 2 s, 4 s … 60 s
    of n servers                         one round through all of them counts as one failure: the next is due soon
    the account was refused              60 s, 2 min, 4 min … 30 min, whatever the server: accounts get locked

Each wait is shortened by up to a half, by chance, so that gateways which lost the same server do not come back in step;
none is ever shorter than half a second, so that a client that dies at once is visible and does not spin. A connection
that lasted for a minute wipes out what was before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model import FailureReason

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
FIRST_REFUSED_WAIT: Final = 60.0
LONGEST_REFUSED_WAIT: Final = 1800.0
LASTING: Final = 60.0
"""Seconds after which a connection was a good one."""

_SPREAD: Final = 0.5
_MOST_DOUBLINGS: Final = 16  # beyond any wait here, and far from what a float cannot hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """What counts against the next attempt. `server` is the place, among the servers, of the one to try.

    `failures` in a row, without a lasting connection between them; `refusals` of the account in a row.
    """

    server: int = 0
    failures: int = 0
    refusals: int = 0


def failed(backoff: Backoff, reason: FailureReason, *, servers: int, lasted: float | None) -> Backoff:
    """An attempt failed for `reason`, or its connection ended after `lasted` seconds (None: there was none).

    The next of `servers` is tried next, and after the last the first again.
    """
    following = (backoff.server + 1) % servers
    before = Backoff() if lasted is not None and lasted >= LASTING else backoff
    if refuses(reason):
        return Backoff(server=following, failures=before.failures, refusals=before.refusals + 1)
    return Backoff(server=following, failures=before.failures + 1)


def wait(backoff: Backoff, *, servers: int, chance: float) -> float:
    """Seconds until the next attempt; 0 when nothing failed. `chance` is at least 0 and below 1."""
    if backoff.refusals:
        whole = _doubled(FIRST_REFUSED_WAIT, backoff.refusals - 1, LONGEST_REFUSED_WAIT)
    elif backoff.failures:
        whole = _doubled(FIRST_WAIT, (backoff.failures - 1) // servers, LONGEST_WAIT)
    else:
        return 0.0
    return whole * (1.0 - _SPREAD * chance)


def refuses(reason: FailureReason) -> bool:
    """Whether `reason` says that the server refused the account: each further attempt may lock it."""
    return reason is FailureReason.WRONG_PASSWORD


def _doubled(first: float, times: int, longest: float) -> float:
    return min(longest, first * 2.0 ** min(times, _MOST_DOUBLINGS))
