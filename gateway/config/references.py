"""Follows the references of a managed tunnel (secrets, certificates, files): do they lead to something?

This is where the room touches the environment and the file system; what was fetched is not kept here.
"""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel

from gateway.config import secrets
from gateway.config.fields import Confidential, NamesFile
from gateway.config.places import Place
from gateway.config.problems import marks
from gateway.config.secrets import EnvRef, FileRef
from gateway.config.source import Source
from gateway.model import Secret


def follow(source: Source, entry: BaseModel, keys: Collection[str], place: Place) -> None:
    """Report the references among `keys` that lead nowhere, and warn of secrets that are badly kept."""
    for key in type(entry).model_fields:
        value = getattr(entry, key)
        if key not in keys or value is None:
            continue
        found = tuple(marks(type(entry), key))
        try:
            _open(source, value, is_file=any(isinstance(mark, NamesFile) for mark in found))
        except ValueError as error:
            source.report.problem(place, key, str(error))
        if any(isinstance(mark, Confidential) and mark.secret for mark in found):
            bad = secrets.exposed(value, base=source.base)
            if bad is not None:
                source.report.warning(place, key, bad)


def _open(source: Source, value: object, *, is_file: bool) -> None:
    match value:
        case FileRef(path) | str(path) if is_file:
            secrets.present(path, base=source.base)
        case EnvRef() | FileRef() | Secret():
            secrets.resolve(value, base=source.base, environ=source.environ)
