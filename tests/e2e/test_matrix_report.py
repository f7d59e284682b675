"""What the matrix says of its rounds: the worst of them, what is owed and missing, and nothing of what did not run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.e2e.matrix.__main__ import main
from tests.e2e.matrix.cases import CASES, Sort
from tests.e2e.matrix.report import KINDS, MATRIX, begin, end, into, kinds_table, table
from tests.e2e.matrix.results import OUTPUT, Count, Round, complaints, load, save

_FALLEN = Round(
    decided=2.0,
    moved=2.1,
    cause="probes",
    forwards=["echo", "hello"],
    transitions={"zone-a": ["up down probes", "down up recovered"]},
    back=3.0,
    active=Count(held=20, lost=20),
    standby=Count(held=10, lost=0),
    readings=500,
    reset=3,
    failed=0,
    slowest=2.2,
    watched=8.0,
    rate=0.1,
)
_CALM = replace(
    _FALLEN,
    decided=None,
    moved=None,
    cause="",
    forwards=[],
    transitions={},
    back=None,
    active=Count(held=20, lost=0),
    rate=5.0,
)


def _good(sort):
    return (
        _FALLEN
        if sort.falls
        else replace(_FALLEN, forwards=["hello"], transitions={}, active=_CALM.active)
        if sort.moves
        else _CALM
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_keeps_every_promise_is_good(case):
    quick = replace(_good(case.sort), rate=case.busy)
    if case.sort is Sort.VISIBLE:
        quick = replace(quick, decided=0.01, moved=0.02)
    assert complaints(case, quick) == []


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("blackhole", {"moved": 3.1}, "moved after 3.1 s instead of 3.0 s"),
        ("blackhole", {"moved": None}, "moved after None s"),
        ("blackhole", {"back": None}, "did not come back"),
        ("blackhole", {"returned": False}, "new sessions did not go back"),
        ("blackhole", {"active": Count(held=20, lost=19)}, "only 19 of 20"),
        ("blackhole", {"standby": Count(held=10, lost=1)}, "1 of 10 sessions lost on the standby"),
        ("blackhole", {"failed": 1}, "worse than RST"),
        ("blackhole", {"transitions": {"zone-a": ["a", "b", "c"]}}, "false transitions"),
        ("blackhole", {"transitions": {"zone-b": ["up down probes"]}}, "false transitions"),
        ("loss", {"transitions": {"zone-a": ["up down probes"]}}, "false transitions"),
        ("loss", {"active": Count(held=20, lost=1)}, "1 of 20 sessions lost on a tunnel that works"),
        ("target-dead", {"active": Count(held=20, lost=1)}, "1 of 20 sessions lost on a tunnel that works"),
        ("target-dead", {"forwards": ["echo", "hello"]}, "only one had reason to"),
        ("loss", {"forwards": ["hello"]}, "forwards that left a tunnel that works"),
        ("saturated", {"rate": 0.9}, "to be busy"),
    ],
)
def test_every_broken_promise_is_named(name, change, complaint):
    case = CASES[name]
    (found,) = complaints(case, replace(_good(case.sort), **change))
    assert complaint in found


def test_the_table_shows_the_worst_round_and_only_what_was_played():
    made = table({"blackhole": [_FALLEN, replace(_FALLEN, moved=2.8, cause="stall")]}, CASES.values())
    row = made.splitlines()[2]
    assert len(made.splitlines()) == 3
    assert "2.8 s" in row
    assert "probes, stall" in row
    assert "40 of 40" in row
    assert "0 in 16.0 s" in row
    assert "| 6, 0 of 1,000 |" in row
    assert row.endswith("| good |")
    assert "missed: moved" in table({"blackhole": [replace(_FALLEN, moved=4.0)]}, CASES.values())


def test_pages_that_failed_are_shown_also_where_they_are_no_broken_promise():
    row = table({"loss": [replace(_CALM, reset=0, failed=7)]}, CASES.values()).splitlines()[2]
    assert row.endswith("| 0, 7 of 500 | good |")


def test_rounds_are_kept_and_put_into_a_document(tmp_path, monkeypatch):
    monkeypatch.setenv(OUTPUT, str(tmp_path / "results"))
    for number, seen in enumerate((_FALLEN, _CALM), 1):
        save(CASES["blackhole"], number, seen)
    assert load(tmp_path / "results", CASES["blackhole"]) == [_FALLEN, _CALM]
    document = tmp_path / "failover.md"
    kinds = f"{begin(KINDS)}\nkinds\n{end(KINDS)}\n"
    document.write_text(f"before\n{begin(MATRIX)}\nold\n{end(MATRIX)}\nafter\n{kinds}")
    main(["report", str(tmp_path / "results"), str(document)])
    text = document.read_text()
    assert text.startswith(f"before\n{begin(MATRIX)}\n\n| fault |")
    assert text.endswith(f"|\n\n{end(MATRIX)}\nafter\n{kinds}"), "of what was not played nothing is written"
    assert "old" not in text
    with pytest.raises(ValueError, match="has no"):
        into("nothing", "table")


def test_each_pair_of_kinds_has_a_column_and_what_was_missed_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv(OUTPUT, str(tmp_path))
    good = replace(_FALLEN, moved=1.9, decided=1.8, tunnel="zone-b", transitions={"zone-b": ["up down x", "down up y"]})
    save(CASES["blackhole"], 1, good, place="kinds/ipsec-openvpn")
    save(CASES["blackhole"], 1, replace(good, moved=4.0), place="kinds/ipsec-wireguard")
    save(CASES["loss"], 1, _CALM, place="kinds/ipsec-wireguard")
    document = tmp_path / "failover.md"
    document.write_text(f"{begin(KINDS)}\n{end(KINDS)}\n")
    main(["report", str(tmp_path), str(document)])
    lines = document.read_text().splitlines()
    assert "| fault | goal | ipsec → openvpn | ipsec → wireguard |" in lines
    assert f"| {CASES['blackhole'].title} | ≤ 3.0 s | 1.9 s, 3.0 s | **4.0 s, 3.0 s** |" in lines
    assert f"| {CASES['loss'].title} | – | – | 0 false |" in lines
    assert f"- {CASES['blackhole'].title}, ipsec → wireguard: moved after 4.0 s instead of 3.0 s" in lines
    assert "Missed" not in kinds_table({("ipsec", "openvpn"): {"blackhole": [good]}}, CASES.values())


def test_without_a_place_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv(OUTPUT, raising=False)
    monkeypatch.chdir(tmp_path)
    save(CASES["blackhole"], 1, _FALLEN)
    assert list(tmp_path.iterdir()) == []
