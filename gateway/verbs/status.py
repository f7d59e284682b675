"""The tables of `gateway status`: tunnels, forwards, and below each what is to be said of one or the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.admin.documents import ForwardDocument, RateDocument, StatusDocument, TunnelDocument
from gateway.verbs.notes import notes, state
from gateway.verbs.wording import UNKNOWN, count, frequency, listed, milliseconds, percent, span, speed

_AROUND: Final = 12
"""Lines of a status that are neither a tunnel's nor a forward's: headers, empty lines, the line of what is left out."""


def status(document: StatusDocument, *, lines: int | None = None) -> RenderableType:
    """All of it; with `lines` only as many forwards as fit, those in trouble and the busiest first."""
    tunnels, forwards = document["tunnels"], document["forwards"]
    tunnel_notes = list(_tunnel_notes(tunnels))
    shown: Sequence[ForwardDocument] = forwards
    if lines is not None:
        room = max(1, lines - _AROUND - len(tunnels) - len(tunnel_notes))
        if 2 * len(forwards) > room:  # each may have a note
            shown = sorted(forwards, key=_urgency)[: max(1, room // 2)]
    parts: list[RenderableType] = [_headline(document), Text(), _tunnels(tunnels), *tunnel_notes]
    parts += [Text(), _forwards(shown), *_forward_notes(shown)]
    if left_out := len(forwards) - len(shown):
        parts.append(Text(f"… and {count(left_out, 'more forward')}: gateway status shows all", style="dim"))
    return Group(*parts)


def _headline(document: StatusDocument) -> Text:
    over = document["rates_over_seconds"]
    rates = f"rates over the last {span(over)}" if over else "rates in a moment"
    return Text(
        f"gateway {document['version']}, {document['environment']}, {document['phase']}: "
        f"{count(document['sessions'], 'session')}; {rates}"
    )


# ---------------------------------------------------------------- tunnels


def _tunnels(tunnels: Sequence[TunnelDocument]) -> Table:
    table = _table(
        "tunnel", "state", "=since", "=cause", ">RTT", ">loss", ">sessions", ">conn/s", ">to target", ">to client"
    )
    for tunnel in tunnels:
        table.add_row(
            Text(tunnel["name"]),
            state(tunnel),
            span(tunnel["since_seconds"]),
            tunnel["cause"] or UNKNOWN,
            milliseconds(tunnel["rtt_seconds"]),
            percent(tunnel["loss_ratio"]),
            str(tunnel["sessions"]),
            *_rates(tunnel["rates"]),
        )
    return table


def _tunnel_notes(tunnels: Sequence[TunnelDocument]) -> Iterator[Text]:
    for tunnel in tunnels:
        for note in notes(tunnel):
            yield Text(f"  {tunnel['name']}: {note}", style="dim")


# ---------------------------------------------------------------- forwards


def _forwards(forwards: Sequence[ForwardDocument]) -> Table:
    table = _table("forward", "listens", "active", ">sessions", ">held", ">conn/s", ">to target", ">to client")
    for forward in forwards:
        table.add_row(
            Text(forward["name"]),
            Text(listed(forward["listens"]) or UNKNOWN),
            _active(forward),
            str(forward["sessions"]),
            str(forward["held"]),
            *_rates(forward["rates"]),
        )
    return table


def _active(forward: ForwardDocument) -> Text:
    if forward["active"] is None or not forward["servable"]:
        return Text("none", style="red")
    if forward["last_resort"]:
        return Text(f"{forward['active']}, last resort", style="yellow")
    if forward["policy"] == "balance":
        return Text(listed([name for name in forward["offered"] if name not in forward["why"]]))
    return Text(forward["active"])


def _forward_notes(forwards: Sequence[ForwardDocument]) -> Iterator[Text]:
    """Why those have no tunnel that have none; the last resort stands in the table."""
    for forward in forwards:
        if not forward["servable"]:
            whole = forward["why"].get("")
            each = "; ".join(f"{tunnel} {why}" for tunnel, why in forward["why"].items() if tunnel)
            why = ": ".join(filter(None, (whole, each))) or "no tunnel can be used"
            yield Text(f"  {forward['name']}: {why}", style="dim")


def _urgency(forward: ForwardDocument) -> tuple[bool, bool, float]:
    rates = forward["rates"]
    busy = 0.0 if rates is None else rates["to_target_bytes_per_second"] + rates["to_client_bytes_per_second"]
    return forward["servable"], not forward["last_resort"], -busy


# ---------------------------------------------------------------- both


def _table(*headers: str) -> Table:
    """Columns without lines between them, so that all fit into 100. `>` is a number; that and `=` stay on one line."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(
            header.lstrip(">="),
            justify="right" if header.startswith(">") else "left",
            no_wrap=header.startswith((">", "=")),
            overflow="fold",
            header_style="bold",
        )
    return table


def _rates(rates: RateDocument | None) -> tuple[str, str, str]:
    if rates is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    return (
        frequency(rates["connections_per_second"]),
        speed(rates["to_target_bytes_per_second"]),
        speed(rates["to_client_bytes_per_second"]),
    )
