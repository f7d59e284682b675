"""IKE proposals as strongSwan spells them: `aes256-sha256-modp2048`. Whether one can be a proposal at all; pure.

Which algorithms there are depends on the strongSwan that is installed, so an unknown name is left to it. But one that
lacks a part is dropped by it without a word fit for an operator. (man swanctl.conf, "proposals")
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

_DEFAULT: Final = "default"
_AEAD: Final = re.compile(r"aes\d*(gcm|ccm)\w*|chacha20poly1305|camellia\d*ccm\w*")
_CIPHER: Final = re.compile(r"(aes|camellia|3des|des|blowfish|cast|serpent|twofish|null)\w*")
_HASH: Final = re.compile(r"(sha|md5|aesxcbc|aescmac|camelliaxcbc)\w*")
_PRF: Final = re.compile(r"prf\w+")
_EXCHANGE: Final = re.compile(r"(modp|ecp|curve|x25519|x448|ntru|newhope|mlkem)\w*")


def fault(proposal: str) -> str | None:
    """What is wrong with a proposal, or None."""
    if proposal == _DEFAULT:
        return None
    if proposal != proposal.lower():
        return f'is written in lower case: "{proposal.lower()}"'
    parts = proposal.split("-")

    def has(kind: re.Pattern[str]) -> bool:
        return any(map(kind.fullmatch, parts))

    return next((why for missing, why in _lacks(has(_AEAD), has) if missing), None)


def _lacks(aead: bool, has: Callable[[re.Pattern[str]], bool]) -> Iterator[tuple[bool, str]]:  # noqa: FBT001 - a fact
    """Each part, whether it is missing, and what to say then. A cipher that authenticates needs no hash, but a PRF."""
    yield not aead and not has(_CIPHER), 'names no cipher: "aes256-sha256-modp2048" has one, aes256'
    yield (
        aead and not has(_PRF) and not has(_HASH),
        'names no pseudo-random function, which this cipher needs beside it: "aes256gcm16-prfsha256-ecp256"',
    )
    yield not aead and not has(_HASH), 'names no hash: "aes256-sha256-modp2048" has one, sha256'
    yield not has(_EXCHANGE), 'names no key exchange: "aes256-sha256-modp2048" has one, modp2048'
