"""Quantities as people read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.verbs.wording import amount, count, frequency, listed, milliseconds, moment, percent, span, speed


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "–"), (0.0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (12.4, "12s"), (59.4, "59s"), (59.6, "1m 0s"),
        (200, "3m 20s"), (3599.9, "1h 0m"), (7500, "2h 5m"), (90_000, "1d 1h"), (356_400, "4d 3h"),
    ],
)  # fmt: skip
def test_spans(seconds, said):
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "–"), (0.00021, "0.21 ms"), (0.0121, "12.1 ms"), (0.34, "340 ms"), (2.5, "2500 ms")]
)
def test_round_trips(seconds, said):
    assert milliseconds(seconds) == said


@pytest.mark.parametrize(
    ("ratio", "said"), [(None, "–"), (0.0, "0 %"), (0.004, "0.4 %"), (0.25, "25 %"), (1.0, "100 %")]
)
def test_ratios(ratio, said):
    assert percent(ratio) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (None, "–"), (0.0, "0"), (1.0, "1 B/s"), (999.0, "999 B/s"), (999.9, "1.0 kB/s"), (1500.0, "1.5 kB/s"),
        (123_456.0, "123 kB/s"), (2.5e6, "2.5 MB/s"), (5e9, "5.0 GB/s"), (5e12, "5000 GB/s"),
    ],
)  # fmt: skip
def test_throughput(rate, said):
    assert speed(rate) == said


@pytest.mark.parametrize(("rate", "said"), [(None, "–"), (0.0, "0"), (0.3, "0.3"), (12.4, "12")])
def test_frequencies(rate, said):
    assert frequency(rate) == said


def test_counts_and_lists():
    assert [count(number, "session") for number in (0, 1, 2)] == ["0 sessions", "1 session", "2 sessions"]
    assert [listed(list(names)) for names in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


TOKYO = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("at", "now", "said"),
    [
        ("2026-11-27T10:07:46.585Z", datetime(2026, 11, 27, 23, 0, tzinfo=UTC), "10:07:46.585"),
        ("2026-11-26T23:59:59.999Z", datetime(2026, 11, 27, 0, 0, tzinfo=UTC), "2026-11-26 23:59:59.999"),
        ("2026-11-26T23:59:59.999Z", datetime(2026, 11, 27, 9, 0, tzinfo=TOKYO), "08:59:59.999"),
        ("2025-11-27T10:07:46.000Z", datetime(2026, 11, 27, 23, 0, tzinfo=UTC), "2025-11-27 10:07:46.000"),
    ],
)
def test_moments_are_local_and_have_a_date_when_not_of_today(at, now, said):
    assert moment(at, now) == said


@pytest.mark.parametrize(("size", "said"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_500_000, "2.5 MB")])
def test_amounts(size, said):
    assert amount(size) == said
