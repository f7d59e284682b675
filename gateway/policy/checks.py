"""Checks: all that are made through one tunnel, and which of them are worth another look.

There may be ten thousand, of which one step touches one. So those that may yet fall, and those that have fallen, are
known by name, and nothing goes through all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from gateway.model import Endpoint, Health, HealthSettings
from gateway.policy import check
from gateway.policy.check import Check
from gateway.policy.pulse import Pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """By label. `fresh` were touched since the last `settled`, `silent` may fall yet, `down` are DOWN."""

    by_label: Mapping[str, Check] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Check]:
        return iter(self.by_label.values())

    def get(self, label: str) -> Check | None:
        """The check of that label, if it was ever made."""
        return self.by_label.get(label)

    def put(self, *checks: Check) -> Checks:
        """These, too, or in the place of those of the same labels."""
        touched = frozenset(it.label for it in checks)
        return Checks(
            by_label={**self.by_label, **{it.label: it for it in checks}},
            fresh=self.fresh | touched,
            silent=_moved(self.silent, touched, {it.label for it in checks if _may_fall(it)}),
            down=_moved(self.down, touched, {it.label for it in checks if it.health is Health.DOWN}),
        )

    def settled(self, tunnel: Pulse, settings: HealthSettings, now: float, *, lives: bool) -> Checks:
        """All health up to date; `lives`: the tunnel, whose pulse is `tunnel`, has just shown life.

        Without that nothing changes for those that wait in silence.
        """
        labels = self.fresh | self.silent if lives else self.fresh
        if not labels:
            return self
        changed = [
            new
            for label in labels
            if (new := check.settle(one := self.by_label[label], tunnel, settings, now)) is not one
        ]
        return replace(self.put(*changed) if changed else self, fresh=frozenset())

    def silent_since(self, target: Endpoint) -> float | None:
        """Since when `target`, which is DOWN, has been silent."""
        those = (self.by_label[label] for label in self.down)
        moments = [one.pulse.silent_since for one in those if one.target == target]
        return min((at for at in moments if at is not None), default=None)

    def silences(self) -> list[float | None]:
        """Since when those that are DOWN have been silent."""
        return [self.by_label[label].pulse.silent_since for label in self.down]

    def dead(self) -> Iterator[Endpoint]:
        """The targets that do not answer."""
        for label in self.down:
            target = self.by_label[label].target
            if target is not None:
                yield target


def _may_fall(one: Check) -> bool:
    return one.pulse.silent_since is not None and one.health is not Health.DOWN


def _moved(those: frozenset[str], touched: frozenset[str], now: set[str]) -> frozenset[str]:
    """`those` after a look at the `touched` ones; identically, when nothing differs."""
    return those if those & touched == now else those - touched | now
