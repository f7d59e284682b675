"""Samples made one by one while they are written, with pauses in which the event loop runs.

A scrape is rendered in a worker thread, but a thread that computes keeps Python's global lock for 5 ms at a time, and
each turn of the relay would wait that long. So the lock is given away every few hundred samples, which is every
millisecond or two; and 100,000 samples never exist at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeAlias, TypeVar, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from gateway.admin.stats import HistogramView

Entry: TypeAlias = tuple[tuple[str, ...], float]
"""Label values and the value."""

HistogramEntry: TypeAlias = tuple[tuple[str, ...], HistogramView]
"""Label values and what was observed."""

_STRETCH: Final = 128
"""Samples between two pauses."""

_PAUSE: Final = 0.0001
"""Seconds. Long enough for a thread that waits for the lock to wake and take it; a pause of 0 is not."""

_T = TypeVar("_T")


def paced(items: Iterable[_T]) -> Iterator[_T]:
    """The same items, with pauses. Of use where making one takes microseconds; for worker threads only."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _STRETCH == 0:
            time.sleep(_PAUSE)


class PacedSamples:
    """The samples called `name`, one for each of `entries`. Iterating pauses: for worker threads only."""

    def __init__(self, name: str, labels: Sequence[str], entries: Sequence[Entry]) -> None:
        self._name = name
        self._labels = labels
        self._entries = entries

    def __iter__(self) -> Iterator[Sample]:
        name, labels = self._name, self._labels
        return paced(Sample(name, dict(zip(labels, values, strict=True)), value) for values, value in self._entries)

    def become_those_of(self, family: Metric) -> None:
        """Put these in the place of the list of `family`, of which the encoders ask nothing but to be iterated."""
        family.samples = cast("list[Sample]", self)


class PacedHistograms:
    """The samples of the histograms called `name`, one histogram for each of `entries`; as `PacedSamples`."""

    def __init__(self, name: str, labels: Sequence[str], entries: Sequence[HistogramEntry]) -> None:
        self._name = name
        self._labels = labels
        self._entries = entries

    def __iter__(self) -> Iterator[Sample]:
        return paced(sample for values, seen in self._entries for sample in self._of(values, seen))

    def become_those_of(self, family: Metric) -> None:
        """Put these in the place of the list of `family`, of which the encoders ask nothing but to be iterated."""
        family.samples = cast("list[Sample]", self)

    def _of(self, values: tuple[str, ...], seen: HistogramView) -> Iterator[Sample]:
        """Buckets are cumulative, as Prometheus wants them, the last one for everything."""
        labels = dict(zip(self._labels, values, strict=True))
        bounds = [*map(floatToGoString, seen.bounds), "+Inf"]
        for bound, count in zip(bounds, accumulate(seen.counts), strict=True):
            yield Sample(f"{self._name}_bucket", labels | {"le": bound}, count)
        yield Sample(f"{self._name}_count", labels, sum(seen.counts))
        yield Sample(f"{self._name}_sum", labels, seen.total)
