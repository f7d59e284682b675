"""What the benches' command lines share: choosing by name, the rights that are needed, how a sample is shown."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from typing import TypeVar

import typer
from rich.console import Console

from bench.report import significant
from bench.results import Sample

DESCRIPTORS = 20000  # of every process of a run: a proxy needs two per session, and 8,000 sessions are held
console = Console(highlight=False, soft_wrap=True)
Known = TypeVar("Known")


def chosen(wanted: str | None, known: Mapping[str, Known], what: str) -> list[Known]:
    """The named ones, in the order in which they are known; all if none is named. Raises typer.BadParameter."""
    names = [name.strip() for name in (wanted or "").split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"no {what} {name!r}; there are: {', '.join(known)}")
    return [value for name, value in known.items() if not names or name in names]


def have_rights() -> None:
    """Root makes namespaces. Raises the descriptor limit for all that is started. Raises typer.Exit without."""
    if os.geteuid() != 0:
        console.print("bench: needs root: it measures in network namespaces of its own")
        raise typer.Exit(1)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(hard, DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    except ValueError as refused:
        console.print(f"bench: needs {DESCRIPTORS} descriptors (ulimit -n), and {hard} are all that is allowed here")
        raise typer.Exit(1) from refused


def say(sample: Sample, number: int, total: int) -> None:
    """One line about a sample that was taken."""
    words = "  ".join(f"{key} {significant(value)}" for key, value in sample.values.items())
    place = f"{sample.place:9} {sample.measure:12} {sample.peer:17} round {sample.round + 1}"
    console.print(f"[dim]{number:4}/{total}[/dim] {place}  {words or sample.error}")
