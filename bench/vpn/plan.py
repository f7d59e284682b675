"""Which samples are taken, in which order. Pure.

Rounds are outermost, so that slow changes of the machine hit every kind alike. Inside a sitting the two ways follow
one another at once, since their ratio is the result, and each load and each round begin with the other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.vpn.kinds import Kind
from bench.vpn.loads import Load
from bench.vpn.ways import Way


class Question(NamedTuple):
    """One sample to take."""

    load: Load
    way: Way


class Sitting(NamedTuple):
    """All samples for which a kind's tunnel is brought up once. `round` counts from 0."""

    kind: Kind
    round: int
    questions: tuple[Question, ...]


def sittings(*, rounds: int, kinds: Sequence[Kind], loads: Sequence[Load]) -> Iterator[Sitting]:
    """A whole run, in order."""
    for number in range(rounds):
        questions = tuple(
            Question(load, way)
            for place, load in enumerate(loads)
            for way in (tuple(Way) if (number + place) % 2 == 0 else tuple(reversed(Way)))
        )
        for kind in kinds:
            yield Sitting(kind, number, questions)
