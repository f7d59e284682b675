from __future__ import annotations

import pytest

from tests.lab import fixtures, prerequisites


class _Item:
    def __init__(self, *marks: str) -> None:
        self._marks = marks

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self._marks else None


@pytest.fixture(autouse=True)
def _poor_machine(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(prerequisites, "missing", lambda: ["a soul"])


def test_without_what_it_needs_a_lab_test_is_skipped_and_says_why():
    with pytest.raises(pytest.skip.Exception, match="a soul"):
        fixtures.pytest_runtest_setup(_Item("lab"))


def test_on_ci_it_fails_instead(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="a soul"):
        fixtures.pytest_runtest_setup(_Item("lab"))


def test_others_are_let_alone():
    fixtures.pytest_runtest_setup(_Item("matrix"))
