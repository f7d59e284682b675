"""The way in: a path becomes a `Config`, or one ConfigError with everything that is wrong in the file.

Reading is in `document.py`; each array of the file has a module (`tunnels.py`, `forwards.py`); here they meet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.config import build, document, icmp
from gateway.config.file_schema import DefaultsTable, File
from gateway.config.forwards import Forwards, forwards
from gateway.config.overlaps import overlaps
from gateway.config.places import Places
from gateway.config.reach import unreached
from gateway.config.report import Report
from gateway.config.rules import DRAIN_KEYS, drain, where
from gateway.config.source import Source
from gateway.config.tables import AdminTable, GatewayTable
from gateway.config.tunnels import tunnels
from gateway.config.wording import bare, suggestion
from gateway.errors import ConfigError
from gateway.model import AdminSpec, Config, GatewaySpec

_ARRAYS: Final = ("tunnel", "forward")


def load(path: str | os.PathLike[str], *, icmp_possible: Callable[[], bool] = icmp.icmp_possible) -> Config:
    """Read and check a configuration file.

    Raises ConfigError with all problems, in file order. Reads the file, and what managed tunnels name: secrets,
    certificates, profiles; where there are icmp:// probes, `icmp_possible` tells whether this process may send them.
    """
    file = os.fspath(path)
    text = document.read(file)
    values = document.parse(file, text)
    report = Report(file)
    now = datetime.now(tz=UTC)
    source = Source(values, Places(text, values), report, base=Path(file).parent, environ=os.environ, now=now)

    misplaced = _tables(source)
    gateway = _gateway(source)
    admin = _admin(source)
    known = tunnels(source, icmp_possible)
    rules = forwards(source, known)
    _listens(source, admin, rules)
    for out in unreached(known.specs, rules.specs):
        report.warning(known.places[out.tunnel], out.key, out.text)
    for name in _ARRAYS if not misplaced else ():
        if not source.document.get(name):
            report.problem(source.places.array(name), "", "at least one is needed")

    if report.problems:
        raise ConfigError(report.problems)
    return Config(
        path=file, gateway=gateway, admin=admin, tunnels=known.specs, forwards=rules.specs, warnings=report.warnings
    )


def _tables(source: Source) -> bool:
    """Are there tables of unknown names or of the wrong shape? They are reported."""
    wrong = False
    for key, value in source.document.items():
        if key in _ARRAYS:
            expected = None if isinstance(value, list) else f"write [[{key}]], in double brackets: there may be several"
        elif key in File.model_fields:
            expected = None if isinstance(value, dict) else f"write [{key}], once: it is a table"
        else:
            expected = f"unknown: {suggestion(key, list(File.model_fields))}"
        if expected is not None:
            wrong = True
            _misplaced(source, key, value, expected)
    inner = source.document.get("defaults")
    for key, value in inner.items() if isinstance(inner, dict) else ():
        name = f"defaults.{key}"
        if key not in DefaultsTable.model_fields:
            _misplaced(source, name, value, f"unknown: {suggestion(key, list(DefaultsTable.model_fields))}")
        elif not isinstance(value, dict):
            _misplaced(source, name, value, f"write [{name}], once: it is a table")
    return wrong


def _misplaced(source: Source, key: str, value: object, expected: str) -> None:
    """Report a table by its header, and a single value (which is not shown: it may be a secret) by its key."""
    match value:
        case dict():
            source.report.problem(source.places.table(key), "", expected)
        case [dict(), *_]:
            source.report.problem(source.places.array(key), "", expected)
        case _:
            parent, _, leaf = key.rpartition(".")
            place = source.places.table(parent) if parent else source.places.top(leaf)
            source.report.problem(place, bare(leaf), expected)


def _gateway(source: Source) -> GatewaySpec:
    table = source.table("gateway", GatewayTable)
    spec = build.gateway(table.value)
    if DRAIN_KEYS.isdisjoint(table.wrong_keys):
        source.broken(source.places.table("gateway"), drain(spec))
    return spec


def _admin(source: Source) -> AdminSpec:
    table = source.table("admin", AdminTable)
    spec = build.admin(table.value)
    return replace(spec, listen=None) if "listen" in table.wrong_keys else spec  # what is unknown is in nobody's way


def _listens(source: Source, admin: AdminSpec, rules: Forwards) -> None:
    """No two listeners may want the same address. The admin address comes first: a forward is the one to move."""
    own = () if admin.listen is None else ((source.places.table("admin"), admin.listen),)
    taken = (*own, *((place, address) for place, listen in rules.listens for address in listen.addresses()))
    for clash in overlaps(taken):
        same = "" if clash.address == clash.other_address else f" on {clash.other_address}"
        source.report.problem(
            clash.owner,
            "listen",
            f"{where(clash.other)} listens there already{same}",
            found=f'"{clash.address}"',
        )
