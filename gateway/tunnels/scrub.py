"""Scrubbing: no secret of a tunnel's configuration leaves in what its VPN client says. Pure.

A secret is looked for as it is, line by line where it has several (keys), and in the forms in which programs show it
again: base64, hexadecimal, with backslashes before quotes. Short ones would turn half of every line into stars, so what
has fewer than four characters is taken only where it stands alone, between characters that are no word's. Of a whole
profile only the files in it that are secret are looked for: its other lines are what logs speak of. Beside that, words
that announce a secret take what follows them along, whosever it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from gateway.config.profiles import statements
from gateway.config.profiles.options import Fate, verdict
from gateway.config.profiles.statements import Statement
from gateway.model import OpenVpnSpec, Secret, VpnSpec
from gateway.model.secret import MASK

_SHORT: Final = 4
_SHORTEST_LINE: Final = 8  # of a secret of several lines: what is shorter says nothing of it
_ARMOUR: Final = re.compile(r"-----(BEGIN|END) |^#|^$")
_ANNOUNCED: Final = re.compile(
    r"""(?ix) (?P<word> \b (?: password | passphrase | passwd | psk
        | private[_ -]?key | preshared[_ -]?key ) ["']? \s* = \s* ) (?P<secret> "[^"]*" | \S+ )
    | (?P<token> \b auth-token [ :=] ) (?P<session> [^\s,'"]+ )
    | (?P<order> ^ \s* (?: password | username ) \s+ "Auth" \s+ ) (?P<answer> .+ )"""
)


class Scrubber:
    """Knows the secrets of one tunnel. Call it with a line; the line without them is returned."""

    def __init__(self, spec: VpnSpec | None) -> None:
        forms = {form for secret in _secrets(spec) for form in _forms(secret)}
        parts = [_pattern(form) for form in sorted(forms, key=len, reverse=True)]  # the whole before its parts
        self._known = re.compile("|".join(parts)) if parts else None

    def __call__(self, text: str) -> str:
        """`text` with a mask in the place of every secret."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        return _ANNOUNCED.sub(lambda found: f"{found['word'] or found['token'] or found['order']}{MASK}", text)


def _secrets(spec: VpnSpec | None) -> Iterator[str]:
    for field in fields(spec) if spec is not None else ():
        value = getattr(spec, field.name)
        if isinstance(value, Secret):
            text = value.reveal()
            found = _secret_files(text) if isinstance(spec, OpenVpnSpec) and field.name == "profile" else [text]
            yield from (each for each in found if each.strip())


def _secret_files(profile: str) -> Iterator[str]:
    """What stands inline in an .ovpn file and is secret."""
    for statement in statements.read(profile):
        if isinstance(statement, Statement) and verdict(statement.name).fate is Fate.SECRET_FILE:
            yield statement.inline or ""


def _forms(secret: str) -> Iterator[str]:
    """The ways in which a program might show `secret`."""
    whole = secret.strip()
    yield whole
    yield secret.strip("\r\n")
    lines = [line.strip() for line in whole.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _SHORTEST_LINE and not _ARMOUR.search(line))
    yield whole.replace("\\", "\\\\").replace('"', '\\"')
    if len(whole) >= _SHORT:
        raw = whole.encode()
        yield from (base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("="))
        yield from (raw.hex(), raw.hex().upper())
    if (key := _decoded(whole)) is not None:
        yield from (key.hex(), key.hex().upper())


def _decoded(text: str) -> bytes | None:
    """The bytes that `text` is the base64 form of, as WireGuard's keys are; None if it is none."""
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _pattern(form: str) -> str:
    exact = re.escape(form)
    return exact if len(form) >= _SHORT else rf"(?<!\w){exact}(?!\w)"
