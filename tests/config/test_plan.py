from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from gateway.config import load
from gateway.config.plan import ForwardRow, plan, render
from gateway.model import Config

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "config/examples"


def good(path: Path) -> Config:
    return load(path, icmp_possible=lambda: True)


def shown(path: Path) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(render(good(path)))
    return console.export_text()


def test_tunnels_come_in_the_order_in_which_they_are_tried():
    rows = plan(good(HERE / "valid/order.toml")).tunnels
    assert [(row.position, row.name) for row in rows] == [
        (1, "first"),
        (2, "second"),
        (3, "none-first"),
        (4, "none-last"),
    ]


def test_a_forward_as_it_will_run():
    (row,) = plan(good(HERE / "valid/everything.toml")).forwards
    assert row == ForwardRow(
        name="hello",
        listen="[::1]:33000",
        target="192.168.100.30:8080",
        tunnels="zone-a",
        policy="balance, hedged after 100ms, manual failback, 2.5 sessions/s moved back",
        on_tunnel_down="grace 1m30s",
        no_tunnel="wait 5s",
        allow="10.0.0.0/8, 192.168.1.1/32, 172.16.0.0/12, 2001:db8::/32",
        max_connections=5,
    )


def test_ranges_are_one_row():
    rows = plan(good(HERE / "valid/ranges.toml")).forwards
    assert (rows[0].listen, rows[0].target) == ("0.0.0.0:33000-33002", "10.0.0.1:80-82")
    assert (rows[1].listen, rows[1].target) == ("[::]:33000-33002", "[2001:db8::1]:80-82")


def test_what_is_probed_and_who_gets_how_much():
    (many,) = plan(good(HERE / "valid/everything.toml")).tunnels
    assert (many.weight, many.probes) == ("3, in 30s", "7")
    _, none = plan(good(HERE / "valid/halves.toml")).tunnels
    assert (none.weight, none.probes) == ("2", "none")
    (usual,) = plan(good(HERE / "valid/smallest.toml")).tunnels
    assert (usual.weight, usual.probes) == ("1", "targets of its forwards")


def test_what_clients_meet_while_no_tunnel_is_up():
    assert [row.no_tunnel for row in plan(good(HERE / "valid/halves.toml")).forwards] == ["refuse", "wait 10s"]
    assert [row.no_tunnel for row in plan(good(HERE / "valid/smallest.toml")).forwards] == ["reset"]


def test_warnings_of_the_file_are_notes():
    config = good(HERE / "valid/everything.toml")
    assert set(config.warnings) < set(plan(config).notes)


def test_the_tables_show_brackets_as_they_are():
    text = shown(HERE / "valid/everything.toml")
    assert "[::1]:33000" in text
    assert "note: " in text
