"""From samples to numbers: medians, spreads, and ratios of samples of the same round. Pure.

A ratio is taken round by round and its median kept: two peers measured within the same minute share that minute's
noise, and dividing their medians would not cancel it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median
from typing import NamedTuple

from bench.results import Sample


class Spread(NamedTuple):
    """Median, least and greatest of a figure, and in how many rounds it was had."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Iterable[float]) -> Spread | None:
    """The spread of the values, None if there are none."""
    known = sorted(values)
    return Spread(median(known), known[0], known[-1], len(known)) if known else None


class Summary:
    """The samples of a run, to be asked by place, measure, peer and figure."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = tuple(samples)

    def by_round(self, place: str, measure: str, peer: str, figure: str) -> Mapping[int, float]:
        """The figure in each round that has it."""
        return {
            sample.round: sample.values[figure]
            for sample in self._samples
            if (sample.place, sample.measure, sample.peer) == (place, measure, peer) and figure in sample.values
        }

    def figure(self, place: str, measure: str, peer: str, figure: str) -> Spread | None:
        """The figure over all rounds."""
        return spread(self.by_round(place, measure, peer, figure).values())

    def ratio(self, place: str, measure: str, figure: str, *, peer: str, baseline: str) -> Spread | None:
        """The ratio peer ÷ baseline in each round that has both."""
        above = self.by_round(place, measure, peer, figure)
        below = self.by_round(place, measure, baseline, figure)
        return spread(above[number] / below[number] for number in above if below.get(number, 0.0) > 0.0)

    def peers(self, place: str, measure: str) -> list[str]:
        """Peers with a sample, good or not, of the measure in the place; in order of first appearance."""
        return list(
            dict.fromkeys(sample.peer for sample in self._samples if (sample.place, sample.measure) == (place, measure))
        )

    def errors(self) -> list[Sample]:
        """The samples that could not be taken."""
        return [sample for sample in self._samples if sample.error]

    def foreign_share(self) -> Spread | None:
        """How much of one core other processes took while samples were taken: the noise."""
        return spread(sample.values["foreign_share"] for sample in self._samples if "foreign_share" in sample.values)
