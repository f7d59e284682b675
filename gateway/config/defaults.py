"""`[defaults.forward]` and `[defaults.tunnel]` fill in what an entry leaves out. Pure, on plain TOML values.

A default that is wrong is reported once, at its own place, and then left out, so that the entries that would have
taken it do not repeat the complaint.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

Raw = Mapping[str, Any]

_TABLES: Final = frozenset({"health"})


def without(defaults: Raw, wrong: Iterable[tuple[str, ...]]) -> Raw:
    """`defaults` without the keys at the paths in `wrong` (a path into a table takes out just that key of it)."""
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in defaults.items()}
    for key, *inner in wrong:
        if inner and isinstance(kept.get(key), dict):
            kept[key].pop(inner[0], None)
        else:
            kept.pop(key, None)
    return kept


def merged(defaults: Raw, entry: Raw, keys: Collection[str]) -> Raw:
    """`entry`, filled in from those `defaults` that it may have (`keys`). A table inside is filled in likewise.

    A reference, `{ env = "X" }`, is written as a table and is one value: it replaces that of the defaults.
    """
    if not defaults:
        return entry
    filled = {key: value for key, value in defaults.items() if key in keys}
    for key, value in entry.items():
        inner = filled.get(key) if key in _TABLES else None
        filled[key] = {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
    return filled
