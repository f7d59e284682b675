from __future__ import annotations

from pathlib import Path

from gateway.config import load
from gateway.config.notes import notes

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent

TUNNELS = """
[[tunnel]]
name      = "zone-a"
kind      = "interface"
interface = "lo"
dns       = ["10.0.0.53", "[2001:db8::53]:5353"]
[[tunnel]]
name      = "zone-b"
kind      = "interface"
interface = "lo0"
"""


def noted(tmp_path: Path, text: str) -> tuple[str, ...]:
    """The notes about names."""
    path = tmp_path / "forwards.toml"
    path.write_text(text)
    return tuple(note for note in notes(load(path)) if " is asked for " in note)


def forward(name: str, target: str, *tunnels: str) -> str:
    listed = ", ".join(f'"{tunnel}"' for tunnel in tunnels)
    port = 33000 + sum(map(ord, name))
    return f'[[forward]]\nname = "{name}"\nlisten = {port}\ntarget = "{target}"\ntunnels = [{listed}]\n'


def test_they_tell_what_the_file_does_not():
    balance = tuple(notes(load(REPOSITORY / "config/examples/balance.toml")))
    assert "the system's resolver is asked for api.internal.example.com, outside the tunnels" in balance
    assert any("default route" in note for note in balance)
    assert tuple(notes(load(REPOSITORY / "config/forwards.toml"))) == ()


def test_warnings_of_the_file_come_first():
    config = load(HERE / "valid/everything.toml", icmp_possible=lambda: True)
    assert config.warnings
    assert tuple(notes(config))[: len(config.warnings)] == config.warnings


def test_each_name_is_asked_where_its_tunnels_ask(tmp_path):
    text = TUNNELS + forward("a", "one.example.com:1", "zone-a", "zone-b") + forward("b", "two.example.com:1", "zone-a")
    assert noted(tmp_path, text) == (
        "the system's resolver is asked for one.example.com, outside the tunnels (no dns of their own: zone-b)",
        (
            "10.0.0.53:53, [2001:db8::53]:5353 is asked for one.example.com, two.example.com, "
            "through zone-a and nowhere else"
        ),
    )


def test_a_name_that_only_goes_through_a_tunnel_is_not_asked_of_the_system(tmp_path):
    text = TUNNELS + forward("a", "one.example.com:1", "zone-a") + forward("b", "10.0.0.1:1", "zone-b")
    (note,) = noted(tmp_path, text)
    assert "through zone-a" in note


def test_what_is_probed_must_be_known_too(tmp_path):
    probes = 'health = { probes = ["tcp://web.example.com:80", "tcp://10.0.0.1:80"] }\n'
    (note,) = noted(tmp_path, TUNNELS + probes + forward("a", "10.0.0.1:1", "zone-a"))
    assert note == "the system's resolver is asked for web.example.com, outside the tunnels"
