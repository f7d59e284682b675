from __future__ import annotations

import re

import pytest

from gateway import errors
from gateway.errors import ConfigError, GatewayError, ListenError, Problem


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, 'f.toml:7: forward "hello": listen: found 0: a port from 1 to 65535'),
        ({"line": None}, 'f.toml: forward "hello": listen: found 0: a port from 1 to 65535'),
        ({"key": ""}, 'f.toml:7: forward "hello": found 0: a port from 1 to 65535'),
        ({"found": None}, 'f.toml:7: forward "hello": listen: a port from 1 to 65535'),
        ({"found": ""}, 'f.toml:7: forward "hello": listen: found : a port from 1 to 65535'),
    ],
)
def test_a_problem_says_where_what_and_what_instead(changes: dict[str, object], text: str):
    whole: dict[str, object] = {
        "file": "f.toml",
        "place": 'forward "hello"',
        "key": "listen",
        "found": "0",
        "expected": "a port from 1 to 65535",
        "line": 7,
    }
    assert str(Problem(**{**whole, **changes})) == text  # type: ignore[arg-type]


def test_an_error_tells_all_that_it_carries():
    problems = [Problem(file="f", place="p", key=key, found=None, expected="no") for key in ("a", "b")]
    assert str(ConfigError(problems)) == "f: p: a: no\nf: p: b: no"
    assert ConfigError(problems).problems == tuple(problems)
    failures = [('forward "x"', "*:80", "Permission denied"), ("[admin] listen", "[::1]:81", "Address already in use")]
    assert str(ListenError(failures)).splitlines() == [
        'forward "x": cannot listen on *:80: Permission denied',
        "[admin] listen: cannot listen on [::1]:81: Address already in use",
    ]
    assert ListenError(failures).failures == tuple(failures)


def test_the_tree_in_the_docstring_is_the_tree():
    mine = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, Exception) and each.__module__ == errors.__name__
    }
    drawn = {name: line.index(name) for line in str(errors.__doc__).splitlines() if (name := _named(line))}
    assert drawn.keys() == {each.__name__ for each in mine}
    for each in mine - {GatewayError}:
        (parent,) = each.__bases__
        assert drawn[each.__name__] == drawn[parent.__name__] + 4, "each is drawn one step in from its parent"


def _named(line: str) -> str:
    """The error that a line of the tree is about, if it is one of the tree."""
    found = re.match(r"[\s│├└─]*(\w+Error)\s{2,}\w", line)
    return found[1] if found else ""
