"""Follows the references of a managed tunnel (secrets, certificates, files), once, at load: what they lead to is kept.

This is where the room touches the environment and the file system.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping

from pydantic import BaseModel

from gateway.config import secrets
from gateway.config.fields import Confidential, NamesFile
from gateway.config.places import Place
from gateway.config.problems import marks
from gateway.config.secrets import EnvRef, FileRef
from gateway.config.source import Source
from gateway.model import Secret

Fetched = Mapping[str, Secret]
"""By key, what a reference leads to: text, or base64 where the key is for a binary file."""


def fetch(source: Source, entry: BaseModel, keys: Collection[str], place: Place) -> Fetched:
    """What the references among `keys` lead to. Report those that lead nowhere; warn of secrets that are badly kept."""
    fetched: dict[str, Secret] = {}
    for key in type(entry).model_fields:
        value = getattr(entry, key)
        if key not in keys or value is None:
            continue
        found = tuple(marks(type(entry), key))
        try:
            content = _content(source, value, is_file=any(isinstance(mark, NamesFile) for mark in found))
        except ValueError as error:
            source.report.problem(place, key, str(error))
        else:
            if content is not None:
                fetched[key] = content
        if any(isinstance(mark, Confidential) and mark.secret for mark in found):
            bad = secrets.exposed(value, base=source.base)
            if bad is not None:
                source.report.warning(place, key, bad)
    return fetched


def _content(source: Source, value: object, *, is_file: bool) -> Secret | None:
    match value:
        case FileRef(path) if is_file:
            return Secret(base64.b64encode(secrets.read_bytes(path, base=source.base)).decode())
        case str(path) if is_file:
            return Secret(secrets.read(path, base=source.base))
        case EnvRef() | FileRef() | Secret():
            return secrets.resolve(value, base=source.base, environ=source.environ)
    return None
