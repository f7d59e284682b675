"""Secrets as a type: what must not be printed cannot be printed by accident."""

from __future__ import annotations

from typing import Final

MASK: Final = "******"


class Secret:
    """Text that shows itself only when asked: `repr`, `str` and format give a mask, `reveal()` the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the program it is meant for. Never log it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)
