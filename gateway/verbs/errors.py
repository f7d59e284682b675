"""The one error of the verbs."""

from __future__ import annotations


class VerbError(Exception):
    """What was asked is not to be had. `usage`: because it was asked wrongly."""

    def __init__(self, text: str, *, usage: bool = False) -> None:
        self.usage = usage
        super().__init__(text)
