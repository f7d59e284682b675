"""Looking for secrets where none may be: in what processes were started with, in files, in anything that was said.

A secret is looked for as it is, line by line where it has lines, and in the dress that a careless program gives it:
base64, hex, and as part of a URL.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

_SHORTEST = 12  # characters of a line that is looked for: shorter ones may be anybody's
_LARGEST = 64 << 20  # bytes of a file that is looked at

Places = Mapping[str, bytes]
"""What was found where."""


def forms(secret: str) -> frozenset[bytes]:
    """The ways in which a secret may show."""
    lines = {line.strip() for line in secret.splitlines() if not line.startswith(("-", "#"))}
    pieces = {secret.strip(), *(line for line in lines if len(line) >= _SHORTEST)}
    assert all(len(piece) >= _SHORTEST for piece in pieces), "too short to be looked for"
    shown = set[bytes]()
    for piece in pieces:
        plain = piece.encode()
        shown |= {plain, base64.b64encode(plain).rstrip(b"="), plain.hex().encode(), quote(piece, safe="").encode()}
    return frozenset(shown)


def exposed(secrets: Mapping[str, str], places: Places) -> list[str]:
    """Which of `secrets`, by name, show in which of `places`: nothing, if all is well."""
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for place, content in places.items()
        if any(form in content for form in forms(secret))
    ]


def family(pid: int) -> list[int]:
    """The process and all its descendants that live."""
    found = [pid]
    for each in found:  # which grows meanwhile
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, _read(task).split())
    return found


def of_processes(pids: Iterable[int]) -> Places:
    """What each of these was started with: arguments and environment."""
    return {
        str(path): _read(path) for pid in pids for path in (Path(f"/proc/{pid}/cmdline"), Path(f"/proc/{pid}/environ"))
    }


def of_files(*directories: Path, since: float, without: Iterable[Path] = ()) -> Places:
    """Every file in `directories` that was written after `since` (as of `time.time()`), but for those in `without`."""
    left_out = {path.resolve() for path in without}
    return {
        str(path): content
        for directory in directories
        for path in _files(directory, left_out)
        if (content := _written(path, since)) is not None
    }


def limits(pid: int, name: str) -> tuple[str, str]:
    """A limit of a process, soft and hard, as /proc has it: "Max core file size"."""
    (line,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith(name)]
    soft, hard, *_ = line.removeprefix(name).split()
    return soft, hard


def _files(directory: Path, left_out: set[Path]) -> Iterator[Path]:
    for parent, names, files in os.walk(directory):
        names[:] = [name for name in names if Path(parent, name).resolve() not in left_out]
        yield from (Path(parent, name) for name in files)


def _written(path: Path, since: float) -> bytes | None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_mtime < since or status.st_size > _LARGEST:
            return None
        return path.read_bytes()
    except OSError:  # it has gone meanwhile
        return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended
        return b""
