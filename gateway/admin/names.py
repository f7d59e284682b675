"""What is said to somebody who asks for a name that nobody has: the names that there are, the closest first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import Final

_SHOWN: Final = 10
_CLOSE_ENOUGH: Final = 0.6


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """The error's text: there is no `kind` (tunnel, forward) called `name`. Slow with thousands of names."""
    if not known:
        return f"no {kind} {name!r}: there is none at all"
    if len(known) <= _SHOWN:
        shown = sorted(known, key=lambda each: -SequenceMatcher(None, name.lower(), each.lower()).ratio())
    else:
        close = get_close_matches(name, known, n=_SHOWN, cutoff=_CLOSE_ENOUGH)
        shown = close or list(known[:_SHOWN])
    more = len(known) - len(shown)
    return f"no {kind} {name!r}: there {'is' if len(known) == 1 else 'are'} {', '.join(shown)}" + (
        f" and {more} more" if more else ""
    )
