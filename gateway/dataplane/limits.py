"""How many sessions the process may hold: what the kernel's limit on descriptors leaves room for."""

from __future__ import annotations

import resource
from typing import Final

_RESERVE: Final = 2560  # pipes, spare upstreams, the admin side, a thousand listeners; a session takes two descriptors
_RESERVE_BUT_LISTENERS: Final = 1560
_FEWEST: Final = 16


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open descriptors to the hard one (getrlimit(2)); the limit now in force."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def sessions_for(descriptors: int, *, listeners: int = 0) -> int:
    """The sessions that fit into `descriptors` beside `listeners`.

    Where descriptors are few, half of them are kept in reserve, or as many as the listeners take.
    """
    reserve = max(min(max(_RESERVE, _RESERVE_BUT_LISTENERS + listeners), descriptors // 2), listeners)
    return max(_FEWEST, (descriptors - reserve) // 2)
