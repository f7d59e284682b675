"""Where entries stand in the file: tomllib gives no line numbers, so the headers are looked for in the text.

When what is found cannot be right (an array written inline, a header inside a long string), a place has no line:
better none than a wrong one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.wording import bare, shown

_HEADER: Final = re.compile(r"^\s*(\[\[?)([^\[\]#]+)\]\]?\s*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class Place:
    """An entry as its author knows it (`forward "hello"`, `[gateway]`) and the line where it starts, if known."""

    name: str
    line: int | None = None


class Places:
    """The places of one file. `document` is what tomllib made of `text`."""

    def __init__(self, text: str, document: Mapping[str, Any]) -> None:
        self._text = text
        self._lines = _headers(text)
        self._document = document

    def table(self, name: str) -> Place:
        """The table `[name]`; without a header of its own it stands where its first inner table does, or its parent."""
        root = name.partition(".")[0]
        inner = (lines for header, lines in self._lines.items() if header.startswith(f"{name}."))
        lines = self._lines.get(name) or next(inner, None) or self._lines.get(root)
        if lines:
            line: int | None = lines[0]
        else:
            line = self.top(root).line if root in self._document else None
        return Place(f"[{bare(name)}]", line)

    def array(self, name: str) -> Place:
        """The array `[[name]]` as a whole: where its first entry starts."""
        lines = self._lines.get(f"[{name}]")
        return Place(f"[[{bare(name)}]]", lines[0] if lines else None)

    def top(self, key: str) -> Place:
        """A key that stands before any table."""
        match = re.search(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", self._text, re.MULTILINE)
        return Place("the top of the file", None if match is None else self._text.count("\n", 0, match.start()) + 1)

    def entry(self, table: str, index: int) -> Place:
        """The entry `index` (0 first) of the array `[[table]]`: by its name, or by its number if it has none."""
        entries = self._document[table]
        entry = entries[index]
        name = entry.get("name") if isinstance(entry, dict) else None
        lines = self._lines.get(f"[{table}]", [])
        return Place(
            f"{table} {shown(name)}" if isinstance(name, str) and name else f"{table} #{index + 1}",
            lines[index] if len(lines) == len(entries) else None,
        )


def _headers(text: str) -> Mapping[str, list[int]]:
    """Line numbers by header; those of `[[forward]]` are under `[forward]`."""
    found = defaultdict(list)
    for number, line in enumerate(text.split("\n"), start=1):
        if "[" in line and (match := _HEADER.match(line)):
            brackets, name = match.groups()
            plain = ".".join(part.strip().strip("\"'") for part in name.split("."))
            found[f"[{plain}]" if brackets == "[[" else plain].append(number)
    return found
