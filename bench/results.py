"""What a run leaves behind: its samples, and what it must be read with (machine, versions, settings). JSON on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One peer's answer to one measure, or the reason why there is none."""

    place: str
    measure: str
    peer: str
    round: int
    values: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """What a peer was: its description and version."""

    what: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A whole run. `machine` and `settings` are name → text, for people."""

    date: str
    machine: Mapping[str, str]
    settings: Mapping[str, str]
    peers: Mapping[str, PeerInfo]
    samples: tuple[Sample, ...]


def save(run: Run, path: Path) -> None:
    """Writes the run as JSON, one line a sample."""
    head = asdict(run)
    samples = [json.dumps(sample, ensure_ascii=False) for sample in head.pop("samples")]
    text = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}")
    path.write_text(text + ',\n "samples": [\n  ' + ",\n  ".join(samples) + "\n ]\n}\n")


def load(path: Path) -> Run:
    """Reads what `save` wrote."""
    data = json.loads(path.read_text())
    return Run(
        date=data["date"],
        machine=data["machine"],
        settings=data["settings"],
        peers={name: PeerInfo(**info) for name, info in data["peers"].items()},
        samples=tuple(Sample(**sample) for sample in data["samples"]),
    )
