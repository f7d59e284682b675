"""The lines that OpenVPN prints with `machine-readable-output`: seconds, flags in hexadecimal, text. Pure.

What it prints before it has read that option (errors of the options) has the usual form, or none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.model import LineLevel

_MACHINE: Final = re.compile(r"\d+\.\d+ (?P<flags>[0-9a-f]+) (?P<text>.*)")
_USUAL: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?P<text>.*)")

# error.h of OpenVPN 2.6
_FATAL: Final = 1 << 4
_NONFATAL: Final = 1 << 5
_WARN: Final = 1 << 6
_DEBUG: Final = 1 << 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One line: how serious it is, and its text."""

    level: LineLevel
    text: str


def said(line: str) -> Said:
    """Take a line apart."""
    if (found := _MACHINE.fullmatch(line)) is not None:
        return Said(level=_level(int(found["flags"], 16), found["text"]), text=found["text"])
    usual = _USUAL.fullmatch(line)
    text = line if usual is None else usual["text"]
    return Said(level=LineLevel.ERROR if "rror" in text else LineLevel.INFO, text=text)


_OWN_DOING: Final = "event_wait : Interrupted system call"
"""What a process says of the SIGTERM that ends it, as an error."""


def _level(flags: int, text: str) -> LineLevel:
    if text.startswith(_OWN_DOING):
        return LineLevel.DEBUG
    if flags & (_FATAL | _NONFATAL):
        return LineLevel.ERROR
    if flags & _WARN or text.startswith("WARNING"):
        return LineLevel.WARNING
    if text.startswith(
        ("VERIFY ERROR", "VERIFY X509NAME ERROR", "TLS Error", "AUTH: Received control message: AUTH_FAIL")
    ):
        return LineLevel.ERROR
    return LineLevel.DEBUG if flags & _DEBUG else LineLevel.INFO
