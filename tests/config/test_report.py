from __future__ import annotations

from gateway.config.places import Place
from gateway.config.report import Report


def test_everything_comes_out_in_file_order_and_what_has_no_line_last():
    report = Report("f.toml")
    report.problem(Place("[[forward]]"), "", "at least one is needed")
    report.problem(Place("second", 9), "b", "is wrong", found="1")
    report.problem(Place("first", 2), "z", "is wrong")
    report.problem(Place("second", 9), "a", "is wrong")
    report.warning(Place("second", 9), "c", "is odd")
    report.warning(Place("first", 2), "d", "is odd")
    assert [str(problem) for problem in report.problems] == [
        "f.toml:2: first: z: is wrong",
        "f.toml:9: second: b: found 1: is wrong",
        "f.toml:9: second: a: is wrong",
        "f.toml: [[forward]]: at least one is needed",
    ]
    assert report.warnings == ("f.toml:2: first: d: is odd", "f.toml:9: second: c: is odd")
