"""A peer set up in a place with its target(s), ready to be asked; and the metering of what an answer costs."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.accounting import Memory, cpu_seconds, machine_seconds, memory
from bench.children import LOAD_CORE, PROXY_CORE, Child, SampleError, ask, child
from bench.peers.base import Job, Peer
from bench.places import ADMIN_PORT, LISTEN_PORT, TARGET_PORT, Place

Answer = Mapping[str, object]


def number(answer: Answer, key: str) -> float:
    """A number of an answer of the load program. Raises SampleError if it is none."""
    value = answer.get(key)
    if not isinstance(value, int | float):
        raise SampleError(f"the load program's answer has no number {key!r}: {dict(answer)}")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """An answer and what it cost, in seconds. `cpu` is the peer's (None: no process), `machine` all cores' busy time.

    `foreign_share` is the part of the machine's time that went to processes outside the sample: noise.
    """

    answer: Answer
    cpu: float | None
    machine: float
    foreign_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """All that one sample runs. Made by `rigged`."""

    program: Path
    job: Job
    address: str
    peer: Child | None
    targets: tuple[Child, ...]

    @property
    def place(self) -> Place:
        return self.job.place

    def _client(self, *arguments: str) -> list[str]:
        return [str(self.program), *arguments, "--address", self.address, "--source", ",".join(self.place.sources)]

    def load(self, *arguments: str) -> Answer:
        """Runs the load program as a client, to its end. Raises SampleError."""
        try:
            return ask(
                arguments[0],
                self._client(*arguments),
                namespace=self.place.client,
                core=LOAD_CORE,
                timeout=120,
            )
        except SampleError as error:
            if self.peer is None:
                raise
            ended = self.peer.process.poll() is not None
            raise self.peer.fail("ended" if ended else f"lives, but {error}; it said") from error

    def wait_until_served(self, patience: float = 20) -> None:
        """Returns when the peer serves connections. Raises SampleError if it ends, or does not within `patience`."""
        until = time.monotonic() + patience
        while True:
            try:
                self.load("wait", "--seconds", "1")
            except SampleError:
                ended = self.peer is not None and self.peer.process.poll() is not None
                if ended or time.monotonic() > until:
                    raise
            else:
                return

    def metered(self, *arguments: str) -> Metered:
        """As `load`, with what it cost until the peer has come to rest again."""
        begun = time.monotonic()
        peer, machine, own = self._peer_seconds(), machine_seconds(), self._own_seconds()
        answer = self.load(*arguments)
        peer_after = self._rest()
        machine_used, own_used = machine_seconds() - machine, self._own_seconds() - own
        cpu = peer_after - peer if self.peer else None
        foreign = max(0.0, machine_used - own_used - (cpu or 0.0))
        elapsed = time.monotonic() - begun
        return Metered(answer=answer, cpu=cpu, machine=machine_used, foreign_share=foreign / elapsed)

    def _peer_seconds(self) -> float:
        return cpu_seconds(self.peer.session) if self.peer else 0.0

    def _own_seconds(self) -> float:
        """CPU of the bench itself, of the load (reaped by now) and of the targets."""
        usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        targets = sum(cpu_seconds(target.session) for target in self.targets)
        return targets + sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def _rest(self, pause: float = 0.05, patience: float = 3.0) -> float:
        """The peer's CPU seconds once they no longer grow: sessions that have just ended are still being closed."""
        until = time.monotonic() + patience
        before = self._peer_seconds()
        while time.monotonic() < until:
            time.sleep(pause)
            after = self._peer_seconds()
            if after == before:
                break
            before = after
        return before

    def settled_memory(self) -> Memory:
        """The peer's memory once it no longer changes, or after 3 s. Raises SampleError if there is no process."""
        if self.peer is None:
            raise SampleError("no process has this memory")
        until = time.monotonic() + 3
        before = memory(self.peer.session)
        while time.monotonic() < until:
            time.sleep(0.3)
            after = memory(self.peer.session)
            if after == before:
                break
            before = after
        return before

    @contextmanager
    def holding(self, sessions: int) -> Iterator[None]:
        """Keeps that many idle sessions open. Raises SampleError if one could not be opened."""
        with self._running("hold", "--flows", str(sessions)) as client:
            answer = client.line()
            if answer["answered"] != sessions:
                raise SampleError(f"only {answer['answered']} of {sessions} sessions could be held")
            yield
            client.say("let go")

    @contextmanager
    def connecting(self, seconds: float) -> Iterator[Child]:
        """A client that connects in a tight loop until another target answers than the first."""
        with self._running("gap", "--seconds", str(seconds)) as client:
            yield client

    @contextmanager
    def _running(self, *arguments: str) -> Iterator[Child]:
        command = self._client(*arguments)
        with child(
            arguments[0], command, namespace=self.place.client, core=LOAD_CORE, directory=self.job.directory
        ) as client:
            yield client

    def next_line(self, client: Child) -> Answer:
        """The next answer of a client that is still running."""
        return client.line()

    def take_link_down(self) -> Answer:
        """Takes the far end of the first tunnel down: the proxy's device loses its carrier. Says when."""
        command = [str(self.program), "link-down", "--device", "uplink"]
        return ask("link-down", command, namespace=self.place.targets[0], core=LOAD_CORE, timeout=5)


@contextmanager
def rigged(peer: Peer, place: Place, target: str, program: Path, directory: Path) -> Iterator[Rig]:
    """Starts the target(s) and the peer, waits until a connection is served, and ends them all afterwards.

    Raises SampleError if the peer does not serve within 20 s.
    """
    job = Job(
        place=place,
        directory=directory,
        listen_port=LISTEN_PORT,
        target_port=TARGET_PORT,
        admin_port=ADMIN_PORT,
    )
    with ExitStack() as stack:
        targets = []
        for namespace, tag in zip(place.targets, "ab", strict=False):
            command = [str(program), target, "--address", job.target]
            command += ["--tag", tag] if len(place.targets) > 1 else []
            running = child(f"target-{tag}", command, namespace=namespace, core=LOAD_CORE, directory=directory)
            targets.append(stack.enter_context(running))
            targets[-1].line()
        process = None
        if peer.command:
            running = child(
                peer.name,
                peer.command(job),
                namespace=place.proxy,
                core=PROXY_CORE,
                directory=directory,
                quiet=True,
            )
            process = stack.enter_context(running)
        for words in peer.arrange(job) if peer.arrange else ():
            place.proxy.run(words)
        rig = Rig(
            program=program,
            job=job,
            address=job.target if peer.bypass else job.listen,
            peer=process,
            targets=tuple(targets),
        )
        rig.wait_until_served()
        yield rig
