"""A scrape's text, read back by the parsers of both formats."""

import dataclasses
import gzip
import threading

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.dataplane.messages import Stats
from gateway.model import ConnectResult
from tests.admin.fakes import FACTS
from tests.admin.test_families import NAMES

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def test_gathers_from_every_source(fake):
    assert fake.metrics.gather() == FACTS


def test_text_by_default(fake):
    answer = fake.metrics.render(FACTS)
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert answer.encoding is None
    found = {sample.name for family in parse_text(answer.body.decode()) for sample in family.samples}
    ours = {name for name in found if name.startswith("gateway_")}
    assert {name for name in NAMES if "duration" not in name} <= ours
    assert found - ours >= {"process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"}
    assert all(name.startswith("process_") for name in found - ours)


def test_openmetrics_when_asked_for(fake):
    answer = fake.metrics.render(FACTS, accept=OPENMETRICS)
    assert answer.content_type.startswith("application/openmetrics-text; version=1.0.0")
    text = answer.body.decode()
    families = {family.name: family.type for family in parse_openmetrics(text)}
    assert families["gateway_connections"] == "counter"
    assert families["gateway_connect_duration_seconds"] == "histogram"
    assert families["gateway_build"] == "info"


@pytest.mark.parametrize("accept", ["", "*/*", "nonsense", "application/openmetrics-text; version=nonsense", ";,;"])
def test_whatever_else_is_accepted_gets_text(fake, accept):
    assert fake.metrics.render(FACTS, accept=accept).content_type.startswith("text/plain")


def test_compressed_when_accepted(fake):
    answer = fake.metrics.render(FACTS, accept_encoding="deflate, gzip")
    assert answer.encoding == "gzip"
    assert b"gateway_build_info" in gzip.decompress(answer.body)


def test_label_values_survive_the_text(fake):
    odd = 'a "quoted" \\ name\nof two lines, µ'
    facts = dataclasses.replace(FACTS, stats=Stats(connections={(odd, ConnectResult.OK): 1}))
    for parse, accept in ((parse_text, ""), (parse_openmetrics, OPENMETRICS)):
        text = fake.metrics.render(facts, accept=accept).body.decode()
        labels = [s.labels for family in parse(text) for s in family.samples if s.name == "gateway_connections_total"]
        assert labels == [{"forward": odd, "result": "ok"}]


def test_large_counts_lose_nothing_that_prometheus_would_keep(fake):
    text = fake.metrics.render(FACTS).body.decode()
    [value] = [
        sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.labels == {"forward": "hello", "tunnel": "zone-a", "direction": "to_client"}
    ]
    assert value == float(2**53 + 1)


def test_renders_in_any_thread(fake):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(fake.metrics.render(FACTS)))
    thread.start()
    thread.join()
    [answer] = answers
    assert b"gateway_build_info" in answer.body


def test_nothing_is_registered_globally(fake):
    fake.metrics.render(FACTS)
    assert not [family.name for family in REGISTRY.collect() if family.name.startswith("gateway_")]
