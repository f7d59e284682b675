"""docs/configuration.md and the full reference know every key, and say what its default is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.config import schema

REPOSITORY = Path(__file__).parent.parent.parent
PAGE = (REPOSITORY / "docs/configuration.md").read_text()
REFERENCE = (REPOSITORY / "config/examples/full-reference.toml").read_text()
TABLES = (
    "GatewayTable",
    "AdminTable",
    "HealthTable",
    "InterfaceTunnel",
    "OpenVpnTunnel",
    "IpsecTunnel",
    "WireguardTunnel",
    "ForwardEntry",
)

DEFINITIONS: dict[str, dict[str, Any]] = schema()["$defs"]
KEYS = [(table, key) for table in TABLES for key in DEFINITIONS[table]["properties"] if key != "health"]
ALL_KEYS = sorted({key for definition in DEFINITIONS.values() for key in definition.get("properties", ())})


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_the_page_has_a_row_with_the_default(table, key):
    rows = re.findall(rf"^\| `{key}` \|.*$", PAGE, re.MULTILINE)
    assert rows
    default = DEFINITIONS[table]["properties"][key].get("default")
    if default is not None:
        # "60s" is how people say "1m"
        written = {"1m": "60s"}.get(default, default) if isinstance(default, str) else str(default).lower()
        assert any(f"`{written}`" in row or f'`"{written}"`' in row for row in rows), rows


@pytest.mark.parametrize(("table", "key"), KEYS)
def test_the_full_reference_has_the_key(table, key):
    assert re.search(rf"^#? ?{key} *=", REFERENCE, re.MULTILINE)


@pytest.mark.parametrize("key", ALL_KEYS)
def test_every_key_is_on_the_page(key):
    assert re.search(rf"`{key}`|\[{key}\]|\[\[{key}\]\]|\[{key}\.|\[\w+\.{key}\]", PAGE)
