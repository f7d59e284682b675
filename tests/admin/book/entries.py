"""Entries for books, and what is read of a page."""

from gateway.admin.book.activity import Activity, ActivityKind
from gateway.admin.book.queries import Page
from gateway.model import LineLevel, VpnLine

NOW = 1_800_000_000.0


def line(text: str = "hello", **more: object) -> VpnLine:
    values = {"at_unix": NOW, "tunnel": "zone-a", "level": LineLevel.INFO, "component": "openvpn", **more}
    return VpnLine(text=text, **values)


def activity(detail: str = "", **more: object) -> Activity:
    values = {"at_unix": NOW, "kind": ActivityKind.CONNECTED, "tunnel": "zone-a", **more}
    return Activity(detail=detail, **values)


def texts(page: Page) -> list[str]:
    return [getattr(kept.entry, "text", None) or kept.entry.detail for kept in page.entries]
