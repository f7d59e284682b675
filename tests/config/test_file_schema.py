from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.config import schema


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return schema()


def fields(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for table, definition in {**made["$defs"], "File": made}.items():
        for key, field in definition.get("properties", {}).items():
            yield table, key, field


def test_it_is_json(made):
    assert json.loads(json.dumps(made)) == made
    assert made["required"] == ["tunnel", "forward"]


def test_every_key_is_described(made):
    for table, key, field in fields(made):
        described = field.get("description") or made["$defs"][field["$ref"].rpartition("/")[2]].get("description")
        assert described, f"{table}.{key}"


def test_defaults_are_shown_as_they_would_be_written(made):
    shown = {(table, key): field["default"] for table, key, field in fields(made) if "default" in field}
    assert shown["GatewayTable", "drain_timeout"] == "25s"
    assert shown["AdminTable", "listen"] == "127.0.0.1:9099"
    assert shown["ForwardEntry", "on_tunnel_down"] == "abort"
    assert shown["ForwardEntry", "idle_timeout"] == "1h"
    assert shown["ForwardEntry", "policy"] == "failover"
    assert not any(isinstance(default, dict | list) or default is None for default in shown.values())


def test_unknown_keys_are_refused_and_there_is_no_null(made):
    tables = [definition for definition in made["$defs"].values() if definition.get("type") == "object"]
    assert all(table["additionalProperties"] is False for table in tables)
    assert '"null"' not in json.dumps(made)


def test_building_it_twice_gives_the_same(made):
    assert schema() == made
