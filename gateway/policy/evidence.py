"""Evidence: any fact that speaks for or against a tunnel, in the shapes in which the controller takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import Cause, KernelSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSeen:
    """The kernel's picture of all devices and routes that matter, read whole."""

    snapshot: KernelSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesSeen:
    """Addresses of all host-name targets that are known."""

    addresses: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is concluded about a tunnel from elsewhere than the kernel; `cause=None` takes it back."""

    tunnel: str
    cause: Cause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """Nothing new, but a moment named by `next_due` has come."""


Evidence = KernelSeen | NamesSeen | Verdict | TimePassed
