from __future__ import annotations

import pytest

from bench import results
from bench.report import markdown, significant
from bench.results import PeerInfo, Run, Sample

RUN = Run(
    date="2026-01-02",
    machine={"machine": "2-core-vm", "processor": "Some Processor", "cores": "2", "kernel": "Linux 6.1"},
    settings={"rounds": "5"},
    peers={"gateway": PeerInfo(what="the gateway", version="1"), "haproxy": PeerInfo(what="HAProxy", version="2.6")},
    samples=(
        Sample(place="loopback", measure="rtt", peer="gateway", round=0, values={"p50_us": 30, "foreign_share": 0.02}),
        Sample(place="loopback", measure="rtt", peer="haproxy", round=0, values={"p50_us": 40}),
        Sample(place="loopback", measure="storm", peer="haproxy", round=0, error="HAProxy ended: no | yes"),
    ),
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12345.6, "12,346"), (99.94, "99.9"), (9.994, "9.99"), (0.254, "0.25"), (0.0254, "0.025")],
)
def test_numbers_are_short(value, text):
    assert significant(value) == text


def test_a_report_says_what_it_ran_on_and_what_was_reached():
    text = markdown(RUN, ["goals.svg"])
    assert "Some Processor" in text
    assert "| haproxy | HAProxy | 2.6 |" in text
    assert "![goals.svg](goals.svg)" in text
    assert "| one-byte round trip | loopback | ≤ 1.10 | 0.75 (0.75 – 0.75) | – | met |" in text
    assert "| CPU per connection, RST close | loopback | ≤ 1.00 | – | – | not measured |" in text
    assert "other processes took 2.0% of a core" in text


def test_every_row_of_a_table_has_the_columns_of_its_head():
    width = 0
    for line in markdown(RUN).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        width = width or line.count("|")
        assert line.count("|") == width, line


def test_what_could_not_be_taken_is_said():
    assert "| loopback | storm | haproxy | 1 | HAProxy ended: no / yes |" in markdown(RUN)


def test_a_run_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "run.json"
    results.save(RUN, file)
    assert results.load(file) == RUN
