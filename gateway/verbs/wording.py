"""How quantities are put for people: short enough for a table, plain enough for a sentence. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final

UNKNOWN: Final = "–"

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_SHORT: Final = 10.0  # seconds below which tenths are worth telling
_THOUSAND: Final = 1000.0
_TEN: Final = 10.0
_PREFIXES: Final = ("", "k", "M", "G")


def span(seconds: float | None) -> str:
    """A duration: "0.4s", "12s", "3m 20s", "2h 5m", "4d 3h"."""
    if seconds is None:
        return UNKNOWN
    if seconds < _SHORT:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, name, part, part_name in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "m"), (_MINUTE, "m", 1, "s")):
        if whole >= unit:
            return f"{whole // unit}{name} {whole % unit // part}{part_name}"
    return f"{whole}s"


def moment(at: str, now: datetime) -> str:
    """A moment as the API has it, in the zone of `now`: "15:04:05.123", with its date before it where it is not today.

    Raises ValueError for what is no moment.
    """
    local = datetime.fromisoformat(at).astimezone(now.tzinfo)
    time = local.isoformat(sep=" ", timespec="milliseconds")[: len("2026-01-01 00:00:00.000")]
    return time.partition(" ")[2] if local.date() == now.date() else time


def milliseconds(seconds: float | None) -> str:
    """A round trip: "0.21 ms", "12.1 ms", "340 ms"."""
    if seconds is None:
        return UNKNOWN
    value = seconds * _THOUSAND
    digits = 2 if value < 1 else 1 if value < _THOUSAND / _TEN else 0
    return f"{value:.{digits}f} ms"


def percent(ratio: float | None) -> str:
    """A ratio: "0 %", "0.4 %", "25 %"."""
    if ratio is None:
        return UNKNOWN
    value = ratio * 100
    return f"{value:.1f} %" if 0 < value < _TEN else f"{value:.0f} %"


def speed(bytes_per_second: float | None) -> str:
    """A throughput in decimal units: "0", "999 B/s", "1.5 kB/s", "2.5 MB/s"."""
    if bytes_per_second is None:
        return UNKNOWN
    if not bytes_per_second:
        return "0"
    value, power = bytes_per_second, 0
    while value >= _THOUSAND - 0.5 and power < len(_PREFIXES) - 1:
        value, power = value / _THOUSAND, power + 1
    digits = 1 if power and value < _THOUSAND / _TEN else 0
    return f"{value:.{digits}f} {_PREFIXES[power]}B/s"


def amount(size: int) -> str:
    """Bytes in decimal units: "0 B", "999 B", "1.5 kB", "2.5 MB"."""
    return speed(float(size)).removesuffix("/s") if size else "0 B"


def frequency(per_second: float | None) -> str:
    """How often a second: "0", "0.3", "12"."""
    if per_second is None:
        return UNKNOWN
    if not per_second:
        return "0"
    return f"{per_second:.1f}" if per_second < _TEN else f"{per_second:.0f}"


def count(number: int, thing: str) -> str:
    """`1 session`, `3 sessions`."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
