"""What is said when something was done: a sentence, or the report of a drill. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.admin.documents import DrillDocument, FailbackDocument, TunnelDocument
from gateway.verbs.wording import UNKNOWN, count, listed, span


def admin_changed(tunnel: TunnelDocument) -> str:
    """The tunnel after `enable`, `disable` or `drain-tunnel`."""
    name = tunnel["name"]
    if tunnel["admin"] == "draining":
        left = tunnel["drained_for_seconds"]
        until = "" if left is None else f" within {span(left)}"
        return f"{name} is draining: no new sessions; {count(tunnel['sessions'], 'session')} may end{until}"
    return f"{name} is {tunnel['admin']}; its health is {tunnel['health']}"


def failed_back(document: FailbackDocument) -> str:
    """What `failback` moved."""
    if document["moved"]:
        return f"new sessions have moved: {listed(document['moved'])}"
    return "no forward has moved: new sessions are where they would be anyway"


def drilled(document: DrillDocument) -> RenderableType:
    """The report of a drill."""
    return Group(*_drilled(document))


def _drilled(document: DrillDocument) -> Iterator[RenderableType]:
    name = document["tunnel"]
    cut = document["sessions_reset"]
    yield Text(f"{name} was taken out for {span(document['seconds'])}; {count(cut, 'session')} on it reset")
    if document["forwards"]:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for header in ("forward", "recovered", "through", "after", "shown by"):
            table.add_column(header, overflow="fold")
        for forward in document["forwards"]:
            good = forward["recovered"]
            table.add_row(
                Text(forward["forward"]),
                Text("yes", style="green") if good else Text("NO", style="red"),
                Text(forward["to_tunnel"] or UNKNOWN),
                UNKNOWN if forward["seconds"] is None else f"{forward['seconds']:.3f} s",
                "the gateway's own dial" if forward["probed"] else "a client" if good else UNKNOWN,
            )
        yield table
    else:
        yield Text("no forward used it")
    if document["restored"]:
        yield Text(f"{name} takes new sessions again")
    else:
        yield Text(f"{name} does not take new sessions yet: gateway status says why", style="red")
