"""Secrets: where the file says they are, how they are fetched, and a type that cannot be printed by accident.

`{ env = "VPN_PASSWORD" }` and `{ file = "vpn-password" }` keep the secret out of the file. A literal works too and
is warned about. A relative path counts from the configuration file, as a reader of that file expects.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.config.wording import shown
from gateway.model import Secret

_LONGEST: Final = 1 << 20  # bytes: far beyond any profile or bundle, and an end of /dev/zero

HOW: Final = '{ env = "NAME" } or { file = "path" }'


@dataclass(frozen=True, slots=True)
class EnvRef:
    """The secret is the value of this environment variable."""

    name: str


@dataclass(frozen=True, slots=True)
class FileRef:
    """The secret is the content of this file, without the newline at its end."""

    path: str


SecretRef = EnvRef | FileRef | Secret


def parse_ref(value: object) -> SecretRef:
    """A secret as written in the file. Raises ValueError, whose text never holds the value."""
    match value:
        case str() if value:
            return Secret(value)
        case {"env": str(name), **rest} if name and not rest:
            return EnvRef(name)
        case {"file": str(path), **rest} if path and not rest:
            return FileRef(path)
    raise ValueError(f"must be {HOW}")


def resolve(ref: SecretRef, *, base: Path, environ: Mapping[str, str]) -> Secret:
    """Fetch the secret. Raises ValueError that says what is missing and where. Reads a file."""
    match ref:
        case Secret():
            return ref
        case EnvRef(name):
            text = environ.get(name)
            if text is None:
                raise ValueError(f"the environment variable {shown(name)} is not set")
            where = f"the environment variable {shown(name)}"
        case FileRef(path):
            text = read(path, base=base).removesuffix("\n").removesuffix("\r")
            where = f"the file {shown(path)}"
    if not text:
        raise ValueError(f"{where} is empty")
    return Secret(text)


def exposed(ref: SecretRef, *, base: Path) -> str | None:
    """Why the secret is badly kept (a literal, a file that everybody can read), or None. Asks the file system."""
    match ref:
        case Secret():
            return f"the secret stands in the configuration itself: {HOW} keeps it out"
        case EnvRef():
            return None
        case FileRef(path):
            try:
                mode = (base / path).stat().st_mode
            except (OSError, ValueError):  # `resolve` reports it
                return None
            return f"every user can read the file {shown(path)}: chmod o=" if mode & stat.S_IROTH else None


def read(path: str, *, base: Path) -> str:
    """The text of a file that the configuration names. Raises ValueError that says why it cannot be had."""
    try:
        return read_bytes(path, base=base).decode()
    except UnicodeDecodeError:
        # `from None`: the original error carries the bytes, and thereby the secret
        raise ValueError(f"the file {shown(path)} is not UTF-8 text") from None


def read_bytes(path: str, *, base: Path) -> bytes:
    """The content of a file that the configuration names. Raises ValueError that says why it cannot be had."""
    try:
        with (base / path).open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot read the file {shown(path)}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise ValueError("the path of the file is not a path") from error
    if len(content) > _LONGEST:
        raise ValueError(f"the file {shown(path)} is larger than {_LONGEST >> 20} MiB: it is something else")
    return content
