"""Segments: how large they may be in a tunnel that swallows the larger ones (a path-MTU black hole).

Handshakes and small requests pass, bulk hangs, and nobody says why. Seen passively (full-sized segments sent again and
again while small ones are acknowledged) or by a large `icmp://` probe that fails while the tunnel lives, the answer is
the same: later sessions announce a smaller MSS (TCP_MAXSEG), which bounds both directions.
"""

from __future__ import annotations

from typing import Final

from gateway.model import HealthSettings
from gateway.policy.check import Check
from gateway.policy.pulse import Pulse, is_risen

_STEPS: Final = (1200, 536)
"""Bytes. The first passes every tunnel in common use, one in another included; the last every IPv4 host (RFC 1122)."""


def clamped(clamp: int | None, lost: int) -> int:
    """The clamp to use when segments of `lost` bytes vanish, now that it is `clamp`."""
    ceiling = lost if clamp is None else min(lost, clamp)
    return next((step for step in _STEPS if step < ceiling), _STEPS[-1])


def grown(clamp: int | None, large: Check, tunnel: Pulse, settings: HealthSettings) -> int | None:
    """The clamp after the latest answer, or failure, of the probe `large`; `tunnel` says whether anything passes."""
    pulse = large.pulse
    if pulse.silent_since is None:
        return None if is_risen(pulse, settings) else clamp
    small_pass = tunnel.alive_at is not None and tunnel.alive_at > pulse.silent_since
    if clamp is None and pulse.run <= -settings.fall and small_pass:
        return _STEPS[0]
    return clamp
