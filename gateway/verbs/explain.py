"""What `gateway explain FORWARD` says: the tunnel that new sessions take and why, why no other, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gateway.admin.documents import CandidateDocument, ExplainDocument, ForwardDocument, ProbeDocument, TunnelDocument
from gateway.verbs.notes import notes, state
from gateway.verbs.plain import plain
from gateway.verbs.wording import UNKNOWN, count, listed, milliseconds, percent, span


def explain(document: ExplainDocument) -> RenderableType:
    """The whole explanation."""
    forward, candidates = document["forward"], document["candidates"]
    parts: list[RenderableType] = [_verdict(forward, candidates), Text(_circumstances(forward), style="dim")]
    for candidate in candidates:
        parts += [Text(), *_candidate(forward, candidate)]
    return Group(*parts)


# ---------------------------------------------------------------- the forward


def _verdict(forward: ForwardDocument, candidates: list[CandidateDocument]) -> Text:
    """The answer, in one sentence."""
    chosen = [candidate["tunnel"]["name"] for candidate in candidates if candidate["chosen"]]
    text = Text(forward["name"], style="bold")
    text.append(f" to {forward['target']}: " if forward["target"] else ": ", style="not bold")
    if forward["active"] is None or not forward["servable"]:
        why = forward["why"].get("", "no tunnel can be used")
        return text.append("new sessions have no tunnel", style="red").append(f", because {why}.", style="not bold")
    if forward["last_resort"]:
        is_up = any(it["tunnel"]["health"] == "up" for it in candidates if it["chosen"])
        text.append("the target answers behind no tunnel that is up" if is_up else "no tunnel is up", style="yellow")
        doubt = "" if is_up else ", for the verdict on it may be wrong"
        return text.append(f"; new sessions try {forward['active']} as a last resort{doubt}.", style="not bold")
    if len(chosen) > 1:
        return text.append(f"new sessions are shared by {listed(chosen)}.", style="green")
    return text.append(f"new sessions take {forward['active']}.", style="green")


def _circumstances(forward: ForwardDocument) -> str:
    """What else there is to know of the forward."""
    parts = [f"listens on {listed(forward['listens'])}"] if forward["listens"] else []
    parts.append(f"{count(forward['sessions'], 'session')} now")
    if forward["held"]:
        parts.append(f"{count(forward['held'], 'client')} waiting for a tunnel")
    parts += [f"policy {forward['policy']}", f"failback {forward['failback']}"]
    return "; ".join(parts)


# ---------------------------------------------------------------- its tunnels


def _candidate(forward: ForwardDocument, candidate: CandidateDocument) -> Iterator[RenderableType]:
    tunnel = candidate["tunnel"]
    title = Text(tunnel["name"], style="bold").append(" (", style="not bold").append_text(state(tunnel))
    title.append("): ", style="not bold")
    if candidate["chosen"]:
        title.append("chosen", style="green").append(f" – {_why(forward, candidate)}", style="not bold")
    else:
        title.append("not chosen", style="yellow")
        title.append(f" – {candidate['why_not'] or 'another one is better'}", style="not bold")
    yield title
    for line in (_health(tunnel), _life(tunnel), _load(candidate), *notes(tunnel)):
        yield _indented(line)
    if candidate["probes"]:
        yield Padding(_probes(candidate["probes"]), (0, 0, 0, 2), expand=False)
    if left_out := candidate["probes_left_out"]:
        yield _indented(f"… and {count(left_out, 'more probe')} of other targets")
    if tunnel["next"]:
        yield _indented(f"what comes next: {tunnel['next']}")


def _why(forward: ForwardDocument, candidate: CandidateDocument) -> str:
    """Why the chosen one is the chosen one."""
    if forward["last_resort"]:
        if candidate["tunnel"]["health"] == "up":
            return "as a last resort: it is up, but the target does not answer behind it"
        return "none is up, and it is down by a verdict that may be wrong"
    if forward["policy"] == "balance":
        return "it is up and takes its share of new sessions"
    if candidate["tunnel"]["held_for_seconds"] is not None:
        return "though in its hold-down, for no other can be used"
    return "the first in this forward's order that can be used"


def _health(tunnel: TunnelDocument) -> str:
    cause = f" ({tunnel['cause']})" if tunnel["cause"] else ""
    evidence = f": {plain(tunnel['evidence'])}" if tunnel["evidence"] else ""
    return f"{tunnel['health']} for {span(tunnel['since_seconds'])}{cause}{evidence}"


def _life(tunnel: TunnelDocument) -> str:
    alive = tunnel["alive_seconds"]
    parts = ["no sign of life yet" if alive is None else f"last sign of life {span(alive)} ago"]
    if tunnel["rtt_seconds"] is not None:
        parts.append(f"round trip {milliseconds(tunnel['rtt_seconds'])}")
    if tunnel["loss_ratio"] is not None:
        parts.append(f"loss {percent(tunnel['loss_ratio'])}")
    return "; ".join(parts)


def _load(candidate: CandidateDocument) -> str:
    own, tunnel = candidate["sessions"], candidate["tunnel"]
    device = f"device {tunnel['interface']}, " if tunnel["interface"] else ""
    addresses = f"{listed(tunnel['addresses'])}, " if tunnel["addresses"] else ""
    return f"{device}{addresses}{count(own, 'session')} of this forward, {tunnel['sessions']} in all"


def _probes(probes: list[ProbeDocument]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in ("probe", "says", "last asked", "in a row", "last alive", "round trip", "loss"):
        table.add_column(header, overflow="fold", no_wrap=header != "probe")
    for probe in probes:
        colour = {"up": "green", "down": "red"}.get(probe["health"], "yellow")
        table.add_row(
            Text(probe["label"]),
            Text(probe["health"], style=colour),
            _last(probe),
            _run(probe["run"]),
            UNKNOWN if probe["alive_seconds"] is None else f"{span(probe['alive_seconds'])} ago",
            milliseconds(probe["rtt_seconds"]),
            percent(probe["loss_ratio"]),
        )
    return table


def _last(probe: ProbeDocument) -> str:
    if probe["last_seconds"] is None:
        return "not yet"
    return f"{span(probe['last_seconds'])} ago: {probe['last_outcome'] or 'under way'}"


def _run(run: int) -> str:
    if not run:
        return UNKNOWN
    return f"{count(run, 'answer')}" if run > 0 else f"{count(-run, 'failure')}"


def _indented(line: str) -> Padding:
    return Padding(Text(line), (0, 0, 0, 2), expand=False)
