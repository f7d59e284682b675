"""What is to be said of a tunnel beyond its health: its VPN client, doubts, countdowns, the operator's doing. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from gateway.admin.documents import TunnelDocument
from gateway.verbs.clients import certificate_notes, driver_notes
from gateway.verbs.wording import count, span

_COLOURS = {"up": "green", "down": "red", "unknown": "yellow"}


def state(tunnel: TunnelDocument) -> Text:
    """The tunnel's health in its colour, with what the operator made of it: "up", "up, suspect", "up, draining"."""
    words = Text(tunnel["health"], style=_COLOURS.get(tunnel["health"], ""))
    if tunnel["doubts"]:
        words.append(", ").append("suspect", style="yellow")
    if tunnel["admin"] != "enabled":
        words.append(", ").append(tunnel["admin"], style="yellow")
    if tunnel["drilled_for_seconds"] is not None:
        words.append(", ").append("drill", style="yellow")
    return words


def notes(tunnel: TunnelDocument) -> Iterator[str]:
    """Everything else worth knowing now, a clause each."""
    if tunnel["driver"] is not None:
        yield from driver_notes(tunnel["driver"])
    yield from certificate_notes(tunnel["certificates"])
    if tunnel["doubts"]:
        yield f"suspect: {', '.join(tunnel['doubts'])}"
    if tunnel["drilled_for_seconds"] is not None:
        yield f"taken out by a drill for another {span(tunnel['drilled_for_seconds'])}"
    if tunnel["drained_for_seconds"] is not None:
        yield f"its sessions have another {span(tunnel['drained_for_seconds'])} to end, then it is disabled"
    if tunnel["held_for_seconds"] is not None:
        yield f"in its hold-down for another {span(tunnel['held_for_seconds'])}: another that is up is preferred"
    if tunnel["flaps"]:
        yield f"{count(tunnel['flaps'], 'fall')} still {'counts' if tunnel['flaps'] == 1 else 'count'} against it"
    if tunnel["mss"] is not None:
        yield f"segments are clamped to {tunnel['mss']} bytes, because larger ones vanish in it"
    if tunnel["targets"]["down"]:
        known = tunnel["targets"]["up"] + tunnel["targets"]["down"]
        silent = tunnel["targets"]["down"]
        yield f"{silent} of {count(known, 'target')} behind it {'does' if silent == 1 else 'do'} not answer"
