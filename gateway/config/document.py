"""From a path to plain TOML values: reading and parsing, with the errors of both as Problems."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from gateway.errors import ConfigError, Problem

_POSITION: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read(path: str) -> str:
    """The text of the file. Raises ConfigError when it cannot be had."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # editors on Windows put a mark before the first line
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problem = _file(path, f"must be UTF-8 text; byte {error.start} is not", line)
    except OSError as error:
        problem = _file(path, f"cannot be read: {error.strerror}")
    except ValueError as error:  # a NUL in the path
        problem = _file(path, f"cannot be read: {error}")
    raise ConfigError([problem])


def parse(path: str, text: str) -> dict[str, Any]:
    """What the text says. Raises ConfigError at the first error of syntax: TOML ends there."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        problem = _syntax(path, "nested too deeply")
    except ValueError as error:  # TOMLDecodeError, and numbers of thousands of digits
        message = str(error)
        position = _POSITION.search(message)
        line = None if position is None else int(position[1] or text.rstrip().count("\n") + 1)
        problem = _syntax(path, _POSITION.sub("", message), line)
    raise ConfigError([problem])


def _file(path: str, expected: str, line: int | None = None) -> Problem:
    return Problem(file=path, place="the file", key="", found=None, expected=expected, line=line)


def _syntax(path: str, expected: str, line: int | None = None) -> Problem:
    return Problem(file=path, place="TOML syntax", key="", found=None, expected=expected, line=line)
