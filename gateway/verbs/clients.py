"""VPN clients, their failures and their certificates in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.admin.documents import CertificateDocument, DriverDocument, FailureDocument
from gateway.verbs.plain import plain
from gateway.verbs.wording import amount, count, listed, span

CONNECTED: Final = "connected"
STOPPED: Final = "stopped"
REFUSED: Final = "auth_failed"

_SOON: Final = 30 * 86_400.0  # seconds; a certificate that ends within is worth a line

_STATES: Final = {
    STOPPED: "stopped",
    "connecting": "connecting",
    CONNECTED: "connected",
    "reconnecting": "reconnecting",
    REFUSED: "refused by the server",
}
_REASONS: Final = {
    "wrong_password": "wrong password",
    "no_common_method": "no common way to log in",
    "certificate_not_trusted": "certificate not trusted",
    "certificate_expired": "certificate expired",
    "name_mismatch": "name mismatch",
    "unreachable": "server unreachable",
    "timed_out": "timed out",
    "no_proposal": "no proposal chosen",
    "not_permitted": "not permitted",
    "program_missing": "program missing",
    "configuration": "configuration refused",
    "client_died": "client died",
    "server_ended": "ended by the server",
    "cancelled": "cancelled",
    "other": "failed",
}


def standing(name: str, driver: DriverDocument) -> str:
    """One sentence: where the client of the tunnel `name` stands."""
    return f"{name} is {'; '.join(_standing(driver))}"


def reason(failure: FailureDocument) -> str:
    """Why it failed: the kind of trouble, and what is known of it."""
    words = _REASONS.get(failure["reason"], failure["reason"].replace("_", " "))
    at = f" at {failure['server']}" if failure["server"] else ""
    detail = plain(failure["detail"])
    return f"{words}{at}: {detail}" if detail else f"{words}{at}"


def why_not(driver: DriverDocument) -> str:
    """Why a client is not connected."""
    if driver["failure"] is not None:
        return reason(driver["failure"])
    return "it was disconnected" if driver["state"] == STOPPED else f"still {_words(driver['state'])}"


def driver_notes(driver: DriverDocument) -> Iterator[str]:
    """What `gateway status` says of a client, a clause each."""
    yield f"VPN client {'; '.join(_standing(driver))}"


def certificate_notes(certificates: list[CertificateDocument]) -> Iterator[str]:
    """What is to be said of certificates: those that have ended, and those that end soon."""
    for each in certificates:
        left = each["expires_in_seconds"]
        whose = f"the {each['certificate']} certificate {plain(each['subject'])}"
        if left < 0:
            yield f"{whose} expired {span(-left)} ago"
        elif left < _SOON:
            yield f"{whose} ends in {span(left)}"


def _standing(driver: DriverDocument) -> Iterator[str]:
    state = driver["state"]
    words = _words(state)
    to = f" to {driver['server']}" if driver["server"] and state not in {STOPPED, REFUSED} else ""
    if state == CONNECTED:
        own = f" as {listed(driver['addresses'])}" if driver["addresses"] else ""
        yield f"{words}{to}{own} for {span(driver['since_seconds'])}"
        yield f"{amount(driver['transmitted'])} sent, {amount(driver['received'])} received"
        return
    tries = f", {count(driver['attempts'], 'attempt')} so far" if driver["attempts"] and state != STOPPED else ""
    yield f"{words}{to}{tries}"
    if driver["failure"] is not None:
        yield reason(driver["failure"])
    if driver["retry_in_seconds"] is not None:
        yield f"next attempt in {span(driver['retry_in_seconds'])}"


def _words(state: str) -> str:
    return _STATES.get(state, state.replace("_", " "))
