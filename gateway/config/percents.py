"""Shares as people write them: `"20%"`, `"12.5%"`.

A bare number is refused on purpose: `20` and `0.2` would both be taken for what the other one means.
Counted in thousandths of a percent, so that what is read, shown and read again is the same.
"""

from __future__ import annotations

import re
from typing import Final

_THOUSANDTHS: Final = 1_000  # of a percent
_WHOLE: Final = 100 * _THOUSANDTHS

PATTERN: Final = r"^\d{1,3}(\.\d{1,3})?%$"
_SHAPE: Final = re.compile(r"(\d{1,3})(?:\.(\d{1,3}))?%", re.ASCII)

HOW: Final = 'a percentage in quotes, from "0%" to "100%"'


def parse(value: object) -> float:
    """The ratio (0 to 1) that `value` stands for. Raises ValueError, whose text says what is allowed instead."""
    match = _SHAPE.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        thousandths = int(match[1]) * _THOUSANDTHS + int((match[2] or "").ljust(3, "0"))
        if thousandths <= _WHOLE:
            return thousandths / _WHOLE
    raise ValueError(f"must be {HOW}")


def render(ratio: float) -> str:
    """The text that `parse` reads as `ratio` (to a thousandth of a percent)."""
    whole, rest = divmod(round(ratio * _WHOLE), _THOUSANDTHS)
    return f"{whole}.{rest:03}".rstrip("0").rstrip(".") + "%"
