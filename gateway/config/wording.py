"""How values, keys and names are put into a message: as their author wrote them, harmless, and never a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from datetime import date, time
from difflib import get_close_matches
from typing import Final

MASK: Final = "******"

_SHOWN_MAX: Final = 80
_BITS_MAX: Final = 64
_USERINFO: Final = re.compile(r"//[^/\s]*@")  # a URL may carry a password
_BARE: Final = re.compile(r"[A-Za-z0-9_.-]+")
_CLOSE_ENOUGH: Final = 0.6


def shown(value: object) -> str:
    """A value as its author wrote it, shortened; tables and arrays only by what they are, as they may hold secrets."""
    match value:
        case str():
            text = json.dumps(_USERINFO.sub(f"//{MASK}@", value), ensure_ascii=False)
        case bool():
            text = str(value).lower()
        case int() if value.bit_length() > _BITS_MAX:
            text = "a huge number"
        case dict():
            text = "a table"
        case list():
            text = "an array" if value else "[]"
        case date() | time():
            text = value.isoformat()
        case _:
            text = str(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 3]}..."


def bare(key: str) -> str:
    """A key or a name without quotes where it needs none."""
    return key if _BARE.fullmatch(key) else shown(key)


def closest(name: str, known: Collection[str]) -> str | None:
    """The one of `known` that was probably meant."""
    return next(iter(get_close_matches(name.lower(), known, n=1, cutoff=_CLOSE_ENOUGH)), None)


def suggestion(name: str, known: Collection[str]) -> str:
    """`did you mean "x"?` for the closest of `known`; else all of them."""
    close = closest(name, known)
    if close is not None:
        return f"did you mean {shown(close)}?"
    return f"known are {', '.join(map(bare, known))}" if known else "none is known here"
