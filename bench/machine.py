"""What the figures were taken on: processor, cores, kernel, memory; without the machine's name."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path


def _cpu_info() -> str:
    return Path("/proc/cpuinfo").read_text()


def _field(text: str, name: str, default: str) -> str:
    match = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else default


def machine_name() -> str:
    """A name for files that says what kind of machine it is, not which: "2-core-vm"."""
    kind = "vm" if re.search(r"^flags\s*:.*\bhypervisor\b", _cpu_info(), re.MULTILINE) else "machine"
    return f"{os.cpu_count()}-core-{kind}"


def describe() -> Mapping[str, str]:
    """For the head of the report."""
    memory_kib = int(_field(Path("/proc/meminfo").read_text(), "MemTotal", "0").split()[0])
    release = Path("/etc/os-release")
    return {
        "machine": machine_name(),
        "processor": _field(_cpu_info(), "model name", platform.machine()),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_kib / (1 << 20):.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _os_name(release.read_text() if release.exists() else ""),
    }


def _os_name(text: str) -> str:
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)', text, re.MULTILINE)
    return match[1] if match else "unknown"
