from __future__ import annotations

import tomllib

import pytest

from gateway.config.places import Place, Places


def places(text: str) -> Places:
    return Places(text, tomllib.loads(text))


def test_entries_are_found_by_their_headers():
    found = places('# first\n[gateway]\n\n  [[ forward ]]  # one\nname = "a"\n[["forward"]]\n')
    assert found.table("gateway") == Place("[gateway]", 2)
    assert found.entry("forward", 0) == Place('forward "a"', 4)
    assert found.entry("forward", 1) == Place("forward #2", 6)


def test_windows_line_ends():
    assert places("[gateway]\r\n[[forward]]\r\nname = 'a'\r\n").entry("forward", 0) == Place('forward "a"', 2)


@pytest.mark.parametrize(
    "text",
    [
        'forward = [{ name = "a" }]',
        'x = """\n[[forward]]\n"""\n[[forward]]\nname = "a"',
    ],
    ids=["inline", "header in a string"],
)
def test_no_line_rather_than_a_wrong_one(text):
    assert places(text).entry("forward", 0) == Place('forward "a"')


def test_a_table_that_is_part_of_another_stands_there():
    assert places("\n[defaults]\nforward.policy = 'balance'").table("defaults.forward") == Place(
        "[defaults.forward]", 2
    )
    assert places("\ndefaults.forward = {}").table("defaults.forward") == Place("[defaults.forward]", None)
    assert places("\ndefaults = {}").table("defaults") == Place("[defaults]", 2)


def test_a_table_that_has_only_tables_inside_stands_where_the_first_of_them_does():
    text = "\n[defaults.tunnel.health]\nrise = 1\n[defaults.forward]\n"
    assert places(text).table("defaults.tunnel") == Place("[defaults.tunnel]", 2)


def test_a_table_that_is_not_there_has_no_line():
    assert places("").table("admin") == Place("[admin]")


def test_names_cannot_write_to_the_terminal():
    assert "\x1b" not in places('[[forward]]\nname = "\\u001b[2J"').entry("forward", 0).name
