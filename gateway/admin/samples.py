"""Samples made one by one while they are written, with pauses in which the event loop runs.

A scrape is rendered in a worker thread, but a thread that computes keeps Python's global lock for 5 ms at a time, and
each turn of the relay would wait that long. So the lock is given away every few hundred samples, which is every
millisecond or two; and 100,000 samples never exist at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, cast

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

Entry: TypeAlias = tuple[tuple[str, ...], float]
"""Label values and the value."""

_STRETCH: Final = 128
"""Samples between two pauses."""

_PAUSE: Final = 0.0001
"""Seconds. Long enough for a thread that waits for the lock to wake and take it; a pause of 0 is not."""


class PacedSamples:
    """The samples called `name`, one for each of `entries`. Iterating pauses: for worker threads only."""

    def __init__(self, name: str, labels: Sequence[str], entries: Sequence[Entry]) -> None:
        self._name = name
        self._labels = labels
        self._entries = entries

    def __iter__(self) -> Iterator[Sample]:
        name, labels = self._name, self._labels
        for number, (values, value) in enumerate(self._entries, 1):
            yield Sample(name, dict(zip(labels, values, strict=True)), value)
            if number % _STRETCH == 0:
                time.sleep(_PAUSE)

    def become_those_of(self, family: Metric) -> None:
        """Put these in the place of the list of `family`, of which the encoders ask nothing but to be iterated."""
        family.samples = cast("list[Sample]", self)
