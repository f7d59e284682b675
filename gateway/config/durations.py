"""Durations as people write them: numbers with units, `"250ms"`, `"1m30s"`, `"1.4s"` (a fraction of seconds only).

A bare number is refused on purpose: half of the tools read it as seconds, the other half as milliseconds.
Counted in whole microseconds, so that what is read, shown and read again is the same.
"""

from __future__ import annotations

import re
from typing import Final

_MICROSECONDS: Final = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_SECOND: Final = 1_000_000
_PLACES: Final = 6  # decimal places of a second: microseconds

# Largest unit first, each at most once: "1m30s", never "30s1m". Seconds may have a fraction, which then comes last.
PATTERN: Final = r"^(?=\d)(\d+d)?(\d+h)?(\d+m)?(?:(\d+s)?(\d+ms)?(\d+us)?|(\d+\.\d{1,6})s)$"
_SHAPE: Final = re.compile(PATTERN, re.ASCII)
_DIGITS_MAX: Final = 64  # longer text is no duration, and turning it into a number would only cost time

HOW: Final = (
    "a duration in quotes, whole numbers with units from d, h, m, s, ms, us; only s takes a fraction: "
    '"250ms", "1.4s", "1m30s"'
)


def parse(value: object) -> float:
    """The seconds that `value` stands for. Raises ValueError, whose text says what is allowed instead."""
    match = _SHAPE.fullmatch(value) if isinstance(value, str) and len(value) <= _DIGITS_MAX else None
    if match is None:
        raise ValueError(f"must be {HOW}")
    *whole, fraction = match.groups()
    groups = zip(whole, _MICROSECONDS.items(), strict=True)
    total = sum(int(text[: -len(unit)]) * size for text, (unit, size) in groups if text is not None)
    if fraction is not None:
        seconds, _, places = fraction.partition(".")
        total += int(seconds) * _SECOND + int(places.ljust(_PLACES, "0"))
    return total / _SECOND


def render(seconds: float) -> str:
    """A short text that `parse` reads as `seconds` (to the microsecond)."""
    left = round(seconds * _SECOND)
    parts: list[str] = []
    for unit, size in _MICROSECONDS.items():
        count, left = divmod(left, size)
        if count and left and size == _SECOND:
            return "".join([*parts, f"{count}.{left:06}".rstrip("0"), unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
