"""One configuration file while it is read: its values, its places, and the report of what is wrong in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.config.defaults import Raw, without
from gateway.config.places import Place, Places
from gateway.config.problems import troubles
from gateway.config.report import Report
from gateway.config.rules import Wrong

Model = TypeVar("Model", bound=BaseModel)


class Checked(NamedTuple, Generic[Model]):
    """An entry that went through its model: the value, or the paths of the keys that are wrong in it."""

    value: Model | None
    wrong: frozenset[tuple[str, ...]] = frozenset()

    @property
    def wrong_keys(self) -> frozenset[str]:
        """The keys of the entry itself that are wrong, or hold something that is."""
        return _first(self.wrong)


class Kept(NamedTuple, Generic[Model]):
    """A table without what is wrong in it: as plain values, and as a model; and the paths of what was left out."""

    raw: Raw
    value: Model
    wrong: frozenset[tuple[str, ...]]

    @property
    def wrong_keys(self) -> frozenset[str]:
        """The keys of the table itself that are wrong, or hold something that is."""
        return _first(self.wrong)


def _first(paths: frozenset[tuple[str, ...]]) -> frozenset[str]:
    return frozenset(path[0] for path in paths if path)


@dataclass(frozen=True, slots=True)
class Source:
    """`document` is the file's plain values. Secrets are looked for in `environ` and in files beside `base`.

    Certificates are judged at the moment `now`.
    """

    document: Mapping[str, Any]
    places: Places
    report: Report
    base: Path
    environ: Mapping[str, str]
    now: datetime

    def checked(self, model: type[Model], raw: object, place: Place) -> Checked[Model]:
        """Validate one table; everything wrong in it goes to the report."""
        try:
            return Checked(model.model_validate(raw))
        except ValidationError as error:
            found = list(troubles(error, model))
        for trouble in found:
            self.report.problem(place, trouble.key, trouble.expected, found=trouble.found)
        return Checked(None, frozenset(trouble.path for trouble in found))

    def rest(self, model: type[Model], raw: Raw, wrong: Iterable[tuple[str, ...]]) -> Model | None:
        """A table without the keys that are wrong, as far as it is one then. Nothing is reported."""
        try:
            return model.model_validate(without(raw, wrong))
        except ValidationError:
            return None

    def table(self, name: str, model: type[Model]) -> Kept[Model]:
        """The table `[name]` (`defaults.forward`: one inside another). What is wrong is reported and left out.

        Something else than a table counts as none: `loading` reports it.
        """
        raw: Any = self.document
        for part in name.split("."):
            inner = raw.get(part)
            raw = inner if isinstance(inner, dict) else {}
        checked = self.checked(model, raw, self.places.table(name))
        if checked.value is not None:
            return Kept(raw, checked.value, frozenset())
        kept = without(raw, checked.wrong)
        return Kept(kept, model.model_validate(kept), checked.wrong)

    def array(self, name: str) -> list[tuple[Place, Any]]:
        """The entries of `[[name]]` with their places, in file order."""
        entries = self.document.get(name, [])
        if not isinstance(entries, list):
            return []
        return [(self.places.entry(name, index), entry) for index, entry in enumerate(entries)]

    def broken(self, place: Place, rules: Iterable[Wrong]) -> None:
        """Report what the rules found."""
        for wrong in rules:
            self.report.problem(place, wrong.key, wrong.expected, found=wrong.found)
