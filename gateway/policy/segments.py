"""Segments: how large they may be in a tunnel that swallows the larger ones (a path-MTU black hole).

Handshakes and small requests pass, bulk hangs, and nobody says why. Seen passively (full-sized segments sent again and
again while small ones are acknowledged) or by a large `icmp://` probe that fails while the tunnel lives, the answer is
the same: later sessions announce a smaller MSS (TCP_MAXSEG), which bounds both directions.
"""

from __future__ import annotations

from typing import Final

_STEPS: Final = (1200, 536)
"""Bytes. The first passes every tunnel in common use, one in another included; the last every IPv4 host (RFC 1122)."""


def clamped(clamp: int | None, lost: int) -> int:
    """The clamp to use when segments of `lost` bytes vanish, now that it is `clamp`.

    Sessions from before the clamp go on losing their larger segments: that says nothing against it.
    """
    step = next((step for step in _STEPS if step < lost), _STEPS[-1])
    return step if clamp is None else min(step, clamp)


def probed(clamp: int | None, *, large_pass: bool) -> int | None:
    """The clamp now that large probes have turned out to pass, or not to, while small ones do."""
    if large_pass:
        return None
    return _STEPS[0] if clamp is None else clamp
