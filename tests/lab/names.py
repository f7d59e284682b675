"""The names of a lab and of its namespaces: unique, so that any number of labs run side by side."""

from __future__ import annotations

import secrets
from enum import StrEnum

_PREFIX = "glab-"


class Role(StrEnum):
    """The part that a namespace plays. The picture is in `topology`."""

    CLOUD = "cloud"
    WAN = "wan"
    SITE_A = "site-a"
    SITE_B = "site-b"
    SITE_C = "site-c"
    CORP = "corp"


def new_name() -> str:
    """A lab name that no other lab on this machine has. Short: Unix-socket paths end at 108 bytes."""
    return _PREFIX + secrets.token_hex(4)


def namespace_name(lab: str, role: Role) -> str:
    """The name of the network namespace that plays `role` in `lab`."""
    return f"{lab}-{role}"
