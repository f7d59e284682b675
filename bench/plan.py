"""Which samples are taken, in which order. Pure.

Rounds are outermost, so that slow changes of the machine hit every measure alike; inside a measure the peers follow
one another at once, and each round begins with another of them, so that no peer always comes after the same one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bench.measures import Measure
from bench.peers.base import Peer
from bench.places import PlaceName


class Step(NamedTuple):
    """One sample to take. `round` counts from 0; with `repeats` a measure has that many rounds in each."""

    place: PlaceName
    measure: Measure
    peer: Peer
    round: int


def steps(
    *, rounds: int, places: Sequence[PlaceName], measures: Sequence[Measure], peers: Sequence[Peer]
) -> Iterator[Step]:
    """All samples of a run, in order."""
    for number in range(rounds):
        for place in places:
            for measure in measures:
                if place not in measure.places:
                    continue
                asked = [peer for peer in peers if peer.takes_part(measure.name, place)]
                for repeat in range(measure.repeats):
                    turn = number * measure.repeats + repeat
                    first = turn % len(asked) if asked else 0
                    for peer in asked[first:] + asked[:first]:
                        yield Step(place, measure, peer, turn)
