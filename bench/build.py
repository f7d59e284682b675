"""Compiles the load program (bench/load/*.c), and again only when a source is newer than the binary."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE / ".build"


def load_program() -> Path:
    """Path of the compiled load program. Raises subprocess.CalledProcessError if the compiler does."""
    binary = BUILD / "load"
    parts = sorted((HERE / "load").glob("*.[ch]"))
    if binary.exists() and binary.stat().st_mtime >= max(part.stat().st_mtime for part in parts):
        return binary
    BUILD.mkdir(exist_ok=True)
    sources = [str(part) for part in parts if part.suffix == ".c"]
    flags = ["-O2", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", str(binary), *sources], check=True)
    return binary
