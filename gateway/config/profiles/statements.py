"""The syntax of an .ovpn file: options with arguments, a line each, and blocks of text between tags.

It follows OpenVPN's own reader, quotes and backslashes included: what is judged here must be what would be done there.
And it writes: what goes to the client is not the line that was read, but what it was understood as. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_BLANKS: Final = frozenset(" \t")
_COMMENTS: Final = frozenset("#;")
_ESCAPABLE: Final = frozenset('\\" \t')
_PLAIN: Final = re.compile(r"[^\s\"'\\#;][^\s\"'\\]*")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{1,39}", re.ASCII)
_NOT_SHOWN: Final = "this line"  # what is no option may be a piece of a key that lost its tags

LINE_MAX: Final = 256
"""Bytes that OpenVPN reads of a line."""


class SyntaxFaultError(ValueError):
    """A line that OpenVPN would not read. Its text says why, and shows nothing of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One option: its name without dashes, and its arguments, or the text between `<name>` and `</name>`."""

    line: int
    name: str
    arguments: tuple[str, ...] = ()
    inline: str | None = None

    @property
    def shown(self) -> str:
        """Its name as far as it is one."""
        return self.name if _NAME.fullmatch(self.name) else _NOT_SHOWN

    def render(self) -> str:
        """The text that OpenVPN reads as this statement, without a newline at the end."""
        if self.inline is not None:
            return block(self.name, self.inline)
        return " ".join((self.name, *map(_quoted, self.arguments)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A line that is no statement, and why."""

    line: int
    why: str


def block(name: str, text: str) -> str:
    """A file inline, without a newline at the end. Nothing of it can be taken for what ends it.

    OpenVPN reads lines in pieces of 255 bytes, and leaves out all kinds of blanks before an end: what comes after a
    forged one would be options. No file has an end tag in what counts in it, so lines with one are left out.
    """
    lines = [line for line in text.removesuffix("\n").split("\n") if "</" not in line]
    return "\n".join((f"<{name}>", *lines, f"</{name}>"))


def read(text: str) -> Iterator[Statement | Unreadable]:
    """The statements of a file, or of a block in it, in their order. Line numbers start at 1."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    index = 0
    while index < len(lines):
        number, line = index + 1, lines[index]
        index += 1
        try:
            words = split(line)
        except SyntaxFaultError as trouble:
            yield Unreadable(line=number, why=str(trouble))
            continue
        if len(words) == 1 and (tag := _tag(words[0])) is not None:
            end = _end(lines, index, f"</{tag}>")
            if end is None:
                yield Unreadable(line=number, why=f"<{tag}> has no </{tag}>" if _NAME.fullmatch(tag) else "no such tag")
                return
            yield Statement(line=number, name=tag, inline="".join(f"{inner}\n" for inner in lines[index:end]))
            index = end + 1
        elif words:
            yield Statement(line=number, name=words[0].removeprefix("--"), arguments=tuple(words[1:]))


def split(line: str) -> list[str]:
    """The words of one line: a comment ends it, quotes hold blanks. Raises SyntaxFaultError."""
    words: list[str] = []
    rest = 0
    while rest < len(line):
        if line[rest] in _BLANKS:
            rest += 1
        elif line[rest] in _COMMENTS:
            break
        else:
            word, rest = _word(line, rest)
            words.append(word)
    if any(not char.isprintable() and char not in _BLANKS for word in words for char in word):
        raise SyntaxFaultError("a control character stands in the line")
    if words and len(line.encode()) > LINE_MAX:
        raise SyntaxFaultError(f"longer than {LINE_MAX} bytes, which is all that OpenVPN reads")
    return words


def _word(line: str, start: int) -> tuple[str, int]:
    """The word that begins at `start`, and where to go on."""
    quote = line[start] if line[start] in "\"'" else ""
    position = start + len(quote)
    word: list[str] = []
    while position < len(line):
        char = line[position]
        position += 1
        if char == "\\" and quote != "'":
            if position == len(line) or line[position] not in _ESCAPABLE:
                raise SyntaxFaultError("a backslash stands before nothing that needs one: write it twice")
            word.append(line[position])
            position += 1
        elif char == quote or (not quote and char in _BLANKS):
            return "".join(word), position
        else:
            word.append(char)
    if quote:
        raise SyntaxFaultError(f"a quotation mark ({quote}) is not closed")
    return "".join(word), position


def _tag(word: str) -> str | None:
    return word[1:-1] if word.startswith("<") and word.endswith(">") else None


def _end(lines: Sequence[str], start: int, tag: str) -> int | None:
    """Where the line is that ends a block."""
    return next((i for i in range(start, len(lines)) if lines[i].lstrip(" \t").startswith(tag)), None)


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
