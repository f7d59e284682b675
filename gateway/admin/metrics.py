"""What Prometheus reads: from the gateway's facts to the text of a scrape.

Nothing is counted here. The data plane and the prober count in plain integers, the controller keeps its view; a scrape
takes one copy of each (`Facts`, on the loop's thread) and renders it in a worker thread, for with 10,000 forwards the
text has 100,000 lines. `families` says which series there are, `once` which must not vanish.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from gateway.admin.drivers import Tally
from gateway.admin.families import Facts, ReloadFacts, families
from gateway.admin.once import Once
from gateway.admin.stats import NothingProbed, ProbeStatsView, StatsView
from gateway.model import ControlView, DriverStatus, Expiry


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the facts come from. Called on the event loop's thread, once a scrape each; none may block.

    `clock` is monotonic, the one of the view.
    """

    stats: Callable[[], StatsView]
    view: Callable[[], ControlView]
    reload: Callable[[], ReloadFacts]
    lag: Callable[[], float]
    draining: Callable[[], bool]
    probes: Callable[[], ProbeStatsView] = NothingProbed
    drivers: Callable[[], Mapping[str, DriverStatus]] = dict
    tally: Callable[[], Tally] = Tally
    expiries: Callable[[], tuple[Expiry, ...]] = tuple
    unkept: Callable[[], int] = int
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposition:
    """A scrape's answer. `encoding` is None for a body that is not compressed."""

    body: bytes
    content_type: str
    encoding: str | None


class Metrics:
    """Makes scrapes' answers, in two steps: `gather` on the loop's thread, `render` on any."""

    def __init__(self, sources: Sources, *, version: str, environment: str) -> None:
        self._sources = sources
        self._version = version
        self._environment = environment
        self._once = Once()
        self._process = ProcessCollector(registry=None)

    def gather(self) -> Facts:
        """The facts of now. On the event loop's thread only."""
        sources = self._sources
        view = sources.view()
        self._once = self._once.and_now(view)
        return Facts(
            stats=sources.stats(),
            view=view,
            probes=sources.probes(),
            once=self._once,
            now=sources.clock(),
            reload=sources.reload(),
            lag=sources.lag(),
            draining=sources.draining(),
            drivers=sources.drivers(),
            tally=sources.tally(),
            expiries=sources.expiries(),
            unkept=sources.unkept(),
        )

    def render(self, facts: Facts, *, accept: str = "", accept_encoding: str = "") -> Exposition:
        """`facts` in the text format that `accept` asks for (OpenMetrics or Prometheus), compressed if it may be.

        Takes long with many forwards, and keeps nothing: made for a worker thread.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_GatewayCollector(facts, version=self._version, environment=self._environment))
        registry.register(self._process)
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        body = encode(registry)
        if gzip_accepted(accept_encoding):
            return Exposition(body=gzip.compress(body, compresslevel=1), content_type=content_type, encoding="gzip")
        return Exposition(body=body, content_type=content_type, encoding=None)


class _GatewayCollector(Collector):
    """One scrape's facts, as prometheus_client wants to be given them."""

    def __init__(self, facts: Facts, *, version: str, environment: str) -> None:
        self._facts = facts
        self._version = version
        self._environment = environment

    def collect(self) -> Iterator[Metric]:
        return families(self._facts, version=self._version, environment=self._environment)
