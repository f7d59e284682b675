"""The shapes that admin reads are those that the data plane gives."""

from gateway.admin.stats import HistogramView, NothingProbed, ProbeStatsView, StatsView
from gateway.dataplane.messages import Histogram, Stats


def members(protocol: type) -> set[str]:
    return {name for name, value in vars(protocol).items() if isinstance(value, property)}


def test_stats_have_all_that_is_read():
    assert members(StatsView) <= set(Stats.__dataclass_fields__)


def test_histograms_have_all_that_is_read():
    assert members(HistogramView) <= set(Histogram.__dataclass_fields__)


def test_a_prober_that_has_not_probed_has_all_that_is_read():
    assert members(ProbeStatsView) == set(NothingProbed.__dataclass_fields__)
