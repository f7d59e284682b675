"""What a person sees: a renderable as text, and the documents of the made-up gateway."""

import io
import json

from rich.console import Console, RenderableType

from gateway.admin.describe import Picture
from gateway.admin.documents import ExplainDocument, StatusDocument
from gateway.model import ControlView
from tests.admin.fakes import RATES, STATS, VIEW

WIDTH = 100


def seen(renderable: RenderableType, *, width: int = WIDTH, colours: bool = False) -> str:
    """The lines, without the blanks at their ends; no line is longer than `width`."""
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=colours, color_system="standard" if colours else None).print(
        renderable, highlight=False
    )
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert colours or max(map(len, lines)) <= width
    return "\n".join(lines)


def status_of(view: ControlView = VIEW, **more: object) -> StatusDocument:
    picture = Picture(**{"view": view, "stats": STATS, "rates": RATES, "now": 160.0, **more})
    return json.loads(picture.status(version="1.2.3", environment="test", phase="running"))


def explanation_of(name: str, view: ControlView = VIEW, **more: object) -> ExplainDocument:
    picture = Picture(**{"view": view, "stats": STATS, "rates": RATES, "now": 160.0, **more})
    [found] = [forward for forward in view.forwards if forward.name == name]
    return picture.explain(found)
