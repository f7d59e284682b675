"""Which series have been shown with a value, so that they come down to zero rather than vanish.

A gauge that is gone looks to an alert as if it had never been: "suspect" would end by absence. The view says only what
is now, so what was is remembered here, by names of the configuration and enums: as many entries as there are of those.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.model import ControlView, Doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What some scrape has shown already: tunnels that were held or have flapped, doubts that there were."""

    held: frozenset[str] = field(default_factory=frozenset)
    flapped: frozenset[str] = field(default_factory=frozenset)
    doubted: frozenset[tuple[str, Doubt]] = field(default_factory=frozenset)

    def and_now(self, view: ControlView) -> Once:
        """This and what `view` shows, less what is gone from the configuration."""
        names = {tunnel.name for tunnel in view.tunnels}
        held = {tunnel.name for tunnel in view.tunnels if tunnel.hold_until is not None}
        flapped = {tunnel.name for tunnel in view.tunnels if tunnel.flaps}
        doubted = {(tunnel.name, doubt) for tunnel in view.tunnels for doubt in tunnel.doubts}
        return Once(
            held=(self.held | held) & names,
            flapped=(self.flapped | flapped) & names,
            doubted=frozenset(key for key in self.doubted | doubted if key[0] in names),
        )
