"""Samples are made while they are asked for, and give the interpreter's lock away in between."""

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, HistogramMetricFamily

from gateway.admin import samples
from gateway.admin.samples import PacedHistograms, PacedSamples
from gateway.dataplane.messages import Histogram

ENTRIES = [((f"forward-{number}",), number) for number in range(1000)]


class Recorder:
    def __init__(self) -> None:
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)


def test_every_entry_is_a_sample_in_order():
    made = list(PacedSamples("gateway_x", ("forward",), ENTRIES))
    assert [(sample.name, sample.labels, sample.value) for sample in made] == [
        ("gateway_x", {"forward": f"forward-{number}"}, number) for number in range(1000)
    ]


def test_pauses_come_regularly_and_are_no_pauses_of_zero(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(samples, "time", recorder)
    iterator = iter(PacedSamples("gateway_x", ("forward",), ENTRIES))
    for _ in range(300):
        next(iterator)
    assert len(recorder.naps) == 2
    assert all(nap > 0 for nap in recorder.naps)


def test_the_encoder_writes_them_all():
    family = GaugeMetricFamily("gateway_x", "X.")
    PacedSamples("gateway_x", ("forward",), ENTRIES).become_those_of(family)

    class One:
        def collect(self):
            yield family

    lines = generate_latest(One()).decode().splitlines()
    assert lines[0] == "# HELP gateway_x X."
    assert len(lines) == 2 + len(ENTRIES)


def test_histograms_are_those_that_the_library_would_make():
    seen = Histogram(bounds=(0.01, 0.1), counts=(5, 0, 2), total=4.5)
    theirs = HistogramMetricFamily("gateway_x", "X.", labels=["tunnel"])
    theirs.add_metric(["zone-a"], [("0.01", 5), ("0.1", 5), ("+Inf", 7)], 4.5)
    ours = PacedHistograms("gateway_x", ("tunnel",), [(("zone-a",), seen)])
    assert [(s.name, s.labels, s.value) for s in ours] == [(s.name, s.labels, s.value) for s in theirs.samples]


def test_histograms_are_paced_too(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(samples, "time", recorder)
    seen = Histogram(bounds=(0.01, 0.1), counts=(5, 0, 2), total=4.5)
    assert len(list(PacedHistograms("gateway_x", ("n",), [((str(n),), seen) for n in range(100)]))) == 500
    assert len(recorder.naps) == 3
