"""Names of events are `noun.verb`, in the list and wherever the code logs."""

import ast
from pathlib import Path

import pytest

import gateway
from gateway.observe.events import EVENT_NAME, Event

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def logged_names() -> list[tuple[str, str]]:
    """(place, name) for each literal that a logger is called with in the code."""
    root = Path(gateway.__file__).parent
    found = []
    for file in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=logger) | ast.Attribute(attr=logger), attr=level),
                    args=[name, *_],
                ) if "log" in logger.lower() and level in LEVELS:
                    place = f"{file.relative_to(root)}:{node.lineno}"
                    choices = [name.body, name.orelse] if isinstance(name, ast.IfExp) else [name]
                    found.extend((place, each.value) for each in choices if isinstance(each, ast.Constant))
    return found


@pytest.mark.parametrize("name", list(Event))
def test_listed_names_have_the_form(name):
    assert EVENT_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "tunnel", "Tunnel.up", "tunnel.went up", "tunnel.", ".up", "a.b.c", "a-b.c"])
def test_the_form_excludes(name):
    assert not EVENT_NAME.fullmatch(name)


def test_logged_names_are_listed():
    assert [(place, name) for place, name in logged_names() if name not in set(Event)] == []


def test_the_search_finds_names():
    assert {name for _, name in logged_names()} >= {"gateway.started", "netlink.opened"}
