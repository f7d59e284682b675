"""What real traffic says of the tunnels: signs of life, and looks that are worth a probe.

The data plane is asked for the vitals of a tunnel once a second, and whenever somebody is about to speak against it.
What is new in them is posted as evidence; what looks bad is posted once an episode, and its target probed at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from gateway.model import Doubt, Endpoint, Vitals
from gateway.policy.evidence import Doubted, Evidence, Heard, LargeLost

_EVERY: Final = 1.0  # seconds between looks at each tunnel
_DIAL_PATIENCE: Final = 1.0  # a dial unanswered for so long is suspect: it has sent its second SYN
_LARGE_PATIENCE: Final = 1.0  # large segments that are lost are believed when a second look, so much later, agrees


@dataclass(slots=True)
class _Memory:
    """What has been posted about one tunnel, so that only news is."""

    dialled: dict[Endpoint, float] = field(default_factory=dict)  # as of the last look
    heard: dict[Endpoint, float] = field(default_factory=dict)
    unanswered: set[Endpoint] = field(default_factory=set)  # in an episode that has been posted
    unacknowledged: set[Endpoint] = field(default_factory=set)
    large_since: float | None = None  # the first look of those in a row that saw large segments lost


class TrafficWatch:
    """Posts what traffic says of tunnels. Call it from the event loop's thread only."""

    def __init__(
        self,
        *,
        post: Callable[[Evidence], None],
        vitals: Callable[[str], Vitals],
        suspect: Callable[[str, Endpoint, float], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`vitals(tunnel)` is the data plane's; `suspect(tunnel, target, since)` has the target probed."""
        self._post = post
        self._vitals = vitals
        self._suspect = suspect
        self._clock = clock
        self._memories: dict[str, _Memory] = {}

    def watch(self, tunnels: frozenset[str]) -> None:
        """Look at these tunnels, and forget all others. Before `run` or at any time."""
        self._memories = {name: self._memories.get(name) or _Memory() for name in tunnels}

    def dialled(self, tunnel: str, target: Endpoint) -> float | None:
        """When a dial of `target` through `tunnel` last worked, as of the last look; None: not lately."""
        memory = self._memories.get(tunnel)
        return None if memory is None else memory.dialled.get(target)

    def look(self, tunnel: str) -> None:
        """Post what is new of `tunnel`, now. Nothing, for a tunnel that is not watched."""
        memory = self._memories.get(tunnel)
        if memory is None:
            return
        vitals, now = self._vitals(tunnel), self._clock()
        memory.dialled = dict(vitals.dialled)
        self._hear(tunnel, vitals, memory)
        self._doubt(tunnel, vitals, memory, now)
        self._measure(tunnel, vitals, memory, now)

    async def run(self) -> None:
        """Look at every tunnel once a second until cancelled. What `post` and the others raise ends it."""
        while True:
            for tunnel in list(self._memories):
                self.look(tunnel)
            await asyncio.sleep(_EVERY)

    # ------------------------------------------------------------ parts

    def _hear(self, tunnel: str, vitals: Vitals, memory: _Memory) -> None:
        """Post the newest sign of life of each target, where it is newer than what was posted."""
        latest = dict(vitals.heard)
        for target, at in vitals.dialled.items():
            latest[target] = max(at, latest.get(target, at))
        for target, at in latest.items():
            if at > memory.heard.get(target, float("-inf")):
                self._post(Heard(tunnel=tunnel, target=target, at=at))
        memory.heard = {target: max(at, memory.heard.get(target, at)) for target, at in latest.items()}

    def _doubt(self, tunnel: str, vitals: Vitals, memory: _Memory, now: float) -> None:
        overdue = {target: at for target, at in vitals.unanswered.items() if now - at >= _DIAL_PATIENCE}
        for doubt, suspects, posted in (
            (Doubt.UNANSWERED, overdue, memory.unanswered),
            (Doubt.UNACKNOWLEDGED, vitals.unacknowledged_since, memory.unacknowledged),
        ):
            for target, since in suspects.items():
                if target not in posted:
                    self._post(Doubted(tunnel=tunnel, doubt=doubt, since=since, target=target))
                self._suspect(tunnel, target, since)
            posted.clear()
            posted.update(suspects)

    def _measure(self, tunnel: str, vitals: Vitals, memory: _Memory, now: float) -> None:
        """Post that large segments are lost, at each look for as long as they are.

        Whether the tunnel lives meanwhile is for others to say: a lone upload hears nothing, and probes pass.
        """
        size = vitals.large_lost
        if size is None:
            memory.large_since = None
            return
        if memory.large_since is None:
            memory.large_since = now
        if now - memory.large_since >= _LARGE_PATIENCE:
            self._post(LargeLost(tunnel=tunnel, at=now, mss=size))
