"""What a gateway makes that others would find: processes, sockets, rules, routes, devices."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.processes import ProcessId


def kept(lab: Lab) -> dict[str, list[object]]:
    """What it might leave behind in the cloud: rules, routes of all tables (the kernel's own aside), devices.

    Of addresses only those on devices that stay, of course; and of neighbours nothing.
    """
    found: dict[str, list[object]] = {
        words: [it for it in json.loads(lab.cloud.run(["ip", "-j", *words.split()]) or "[]") if not _is_own(it)]
        for words in ("rule", "-6 rule", "route show table all", "-6 route show table all")
    }
    found["devices"] = sorted(link["ifname"] for link in json.loads(lab.cloud.run(["ip", "-j", "link"])))
    return found


def _is_own(entry: dict[str, object]) -> bool:
    """Whether the kernel made it: those of IPv6 come a while after their device."""
    return entry.get("protocol") == "kernel"


def place(pid: int) -> Path:
    """The directory of the sockets of the gateway's VPN clients: it holds its lock."""
    held = {link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()}
    (found,) = [path for path in held if path.name.startswith("vpn-")]
    return found


def children(pid: int, name: str | None = None) -> list[int]:
    """The processes that `pid` has started, those called `name` or all."""
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for each in found if name is None or _name(each) == name]


def child(pid: int, name: str) -> ProcessId:
    """The one process called `name` that `pid` has started. Raises ValueError where there is none, or several."""
    (found,) = children(pid, name)
    identity = ProcessId.of(found)
    if identity is None:
        raise ValueError(f"{name} has just ended")
    return identity


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid: int) -> list[ProcessId]:
    """The processes that `pid` has started, those that these have started, and so on."""
    found = [identity for each in children(pid) if (identity := ProcessId.of(each)) is not None]
    return [*found, *(further for each in found for further in descendants(each.pid))]
