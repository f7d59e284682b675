"""Text of others (a VPN server, a certificate, a client) made fit for a terminal. Pure.

What is written to a terminal can move its cursor, rename its window, or answer in the operator's name; and marks that
turn the direction of writing can make a line read as another one. All of that is shown, and does nothing.
"""

from __future__ import annotations

import re
from typing import Final

_BLANK: Final = re.compile(r"[\t\u00a0]")
_BYTE: Final = 0xFF
_SHORT: Final = 0xFFFF


def plain(text: str) -> str:
    r"""One line of `text` with every character that is not to be seen as an escape: `\x1b[31m`, `\u202e`."""
    spaced = _BLANK.sub(" ", text)
    return spaced if spaced.isprintable() else "".join(map(_seen, spaced))


def _seen(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code <= _BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _SHORT else f"\\U{code:08x}"
