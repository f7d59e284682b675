"""Sessions played by script: what each side sends, how it reads, and how it ends; and what must be true of it.

Both streams are known in advance, so every chunk is compared as it arrives. The promise: what arrives is byte for byte
what was sent, and a clean end of file means that all of it did; anything less is a reset, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field

from tests.dataplane.rig import DEADLINE, Peer, Rig, Target, seeded

_BLOCK = 1_048_573  # a prime: no chunk, buffer or pipe divides it, so a byte in the wrong place shows
_ID_BYTES = 4
_TWICE = memoryview(seeded(0).randbytes(_BLOCK) * 2)


class Stream:
    """`size` bytes that no other stream of the test has at the same offset."""

    def __init__(self, number: int, size: int) -> None:
        self._start = number * 7919
        self.size = size

    def piece(self, offset: int, size: int) -> memoryview:
        at = (self._start + offset) % _BLOCK
        return _TWICE[at : at + min(size, _BLOCK, self.size - offset)]


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one end does. `resets_after`: bytes moved either way, then RST; `waits`: ends only after the other did."""

    size: int = 0
    chunk: int = 65536
    reads: int = 65536
    pauses: int = 0
    waits: bool = False
    resets_after: int | None = None


@dataclass(frozen=True, kw_only=True)
class Script:
    client: Side = Side()
    target: Side = Side()

    @property
    def orderly(self) -> bool:
        return self.client.resets_after is None and self.target.resets_after is None


@dataclass
class Outcome:
    """What one end saw. `ended` is a clean end of file: before any error."""

    received: int = 0
    sent: int = 0
    ended: bool = False
    failed: bool = False


class _ResetsNowError(Exception):
    """This side has come to the point at which it resets."""


@dataclass
class Play:
    """All scripts at once through one engine; `outcomes` by script and side."""

    rig: Rig
    scripts: list[Script]
    seed: int = 0
    outcomes: list[dict[str, Outcome]] = field(default_factory=list)

    async def run(self) -> None:
        """Play, wait until all is over, and check the promise."""
        self.outcomes = [{"client": Outcome(), "target": Outcome()} for _ in self.scripts]
        target = self.rig.target()
        at = self.rig.forward(target.endpoint, name="play")
        async with asyncio.timeout(6 * DEADLINE), asyncio.TaskGroup() as targets:
            asyncio.get_running_loop().add_reader(target.sock, self._accept, target, targets)
            async with asyncio.TaskGroup() as clients:
                for number in range(len(self.scripts)):
                    client = await self.rig.connect(at)
                    clients.create_task(self._client(client, number))
            await self.rig.idle()
            asyncio.get_running_loop().remove_reader(target.sock)
        target.close()
        for number in range(len(self.scripts)):
            self._check(number)
        if all(script.orderly for script in self.scripts):
            (to_target,) = self.rig.stats.to_target.values()
            assert to_target == sum(script.client.size + _ID_BYTES for script in self.scripts)
        pool = self.rig.engine._pipes
        assert len(pool._idle) == pool.total

    def _accept(self, target: Target, group: asyncio.TaskGroup) -> None:
        """Not a task that awaits `sock_accept`: cancelled at the wrong moment, that loses a socket."""
        with contextlib.suppress(BlockingIOError):
            while True:
                group.create_task(self._target(self.rig.owns(Peer(target.sock.accept()[0]))))

    async def _client(self, peer: Peer, number: int) -> None:
        with contextlib.suppress(ConnectionError):  # the target's reset: the outcome has it
            await peer.send(number.to_bytes(_ID_BYTES, "big"))
        await self._side(peer, number, "client")

    async def _target(self, peer: Peer) -> None:
        try:
            number = int.from_bytes(await peer.receive_exactly(_ID_BYTES), "big")
        except ConnectionError:  # its client reset before it had said who it was
            peer.close()
            return
        await self._side(peer, number, "target")

    async def _side(self, peer: Peer, number: int, name: str) -> None:
        script = self.scripts[number]
        mine, theirs = (script.client, script.target) if name == "client" else (script.target, script.client)
        outcome = self.outcomes[number][name]
        offset = name == "client"
        sends, expects = Stream(2 * number + offset, mine.size), Stream(2 * number + (not offset), theirs.size)
        heard_all = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(peer, mine, sends, outcome, heard_all))
                group.create_task(self._read(peer, mine, expects, outcome, heard_all))
        except* _ResetsNowError:
            peer.reset()
        else:
            peer.close()

    async def _write(self, peer: Peer, side: Side, stream: Stream, outcome: Outcome, heard_all: asyncio.Event) -> None:
        chance = seeded(f"{self.seed} {stream.size}")
        try:
            while outcome.sent < stream.size:
                piece = stream.piece(outcome.sent, chance.randint(1, side.chunk))
                await peer.send(piece)
                outcome.sent += len(piece)
                self._point(side, outcome)
            if side.waits:
                await heard_all.wait()
            self._point(side, outcome, over=True)
            if not outcome.failed:
                peer.finish_sending()
        except OSError:  # ENOTCONN too: reset before the end was said
            outcome.failed = True

    async def _read(self, peer: Peer, side: Side, stream: Stream, outcome: Outcome, heard_all: asyncio.Event) -> None:
        try:
            while data := await peer.receive(side.reads):
                assert data == stream.piece(outcome.received, len(data))
                outcome.received += len(data)
                self._point(side, outcome)
                for _ in range(side.pauses):
                    await asyncio.sleep(0)
            outcome.ended = not outcome.failed
        except ConnectionError:
            outcome.failed = True
        heard_all.set()

    @staticmethod
    def _point(side: Side, outcome: Outcome, *, over: bool = False) -> None:
        if side.resets_after is not None and (over or outcome.sent + outcome.received >= side.resets_after):
            raise _ResetsNowError

    def _check(self, number: int) -> None:
        script, outcomes = self.scripts[number], self.outcomes[number]
        for name, theirs in (("client", script.target), ("target", script.client)):
            outcome = outcomes[name]
            if outcome.ended:
                assert outcome.received == theirs.size, f"truncated, and looks complete: {script} {outcomes}"
            if script.orderly:
                assert outcome.ended, f"no clean end: {script} {outcomes}"
                assert not outcome.failed


def random_script(chance: random.Random, *, largest: int) -> Script:
    """One script: mostly small, sometimes bulk, a third of them with a reset somewhere."""

    def size() -> int:
        return chance.choice((0, 1, chance.randrange(100), chance.randrange(70_000), chance.randrange(largest + 1)))

    def side(total: int, others: int, waits: bool) -> Side:
        return Side(
            size=total,
            chunk=max(1, total // 200, chance.choice((1, 100, 1448, 65536, 200_000))),
            reads=max(1, others // 200, chance.choice((1, 500, 65536, 1 << 18))),
            pauses=chance.choice((0, 0, 0, 3)),
            waits=waits,
        )

    who_waits = chance.choice(("client", "target", "nobody"))
    up, down = size(), size()
    client, target = side(up, down, who_waits == "client"), side(down, up, who_waits == "target")
    if chance.random() < 1 / 3:
        at = chance.choice((0, chance.randrange(1 + client.size + target.size)))
        if chance.random() < 0.5:
            client = Side(**{**vars(client), "resets_after": at})
        else:
            target = Side(**{**vars(target), "resets_after": at})
    return Script(client=client, target=target)
