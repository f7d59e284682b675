"""A sitting: one tunnel that the gateway has brought up, to be asked both ways; and what each answer costs whom."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.accounting import machine_seconds
from bench.children import Child, SampleError, ask, child
from bench.measures import Target
from bench.places import Namespace
from bench.vpn.clocks import cpu_seconds, descendants, parents
from bench.vpn.cores import Cores, move, on_core
from bench.vpn.kinds import Kind
from bench.vpn.loads import Cost
from bench.vpn.plan import Question
from bench.vpn.ways import Way
from tests.e2e.failover import forward
from tests.e2e.harness import control_socket
from tests.e2e.managed import configuration, tunnel
from tests.lab.lab import Lab
from tests.lab.names import Role
from tests.lab.topology import CORP_ADDRESS, Site

_SITE = Site.A
_NAME = "measured"
_TARGET_PORTS = {target: 28412 + place for place, target in enumerate(Target)}
_LISTEN_PORTS = {target: 28422 + place for place, target in enumerate(Target)}
_CONNECT = 30.0  # seconds for the gateway to start, its client to connect, and a byte to come back
_SETTINGS = 'environment = "bench"\nsession_log = "off"'
_REST_SHARE = 0.02  # of a core: what an idle client and an idle gateway take


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all sittings of a run have in common. `targets` serve, one for each mode."""

    lab: Lab
    cores: Cores
    program: Path
    targets: tuple[Child, ...]

    @property
    def cloud(self) -> Namespace:
        return Namespace(self.lab.cloud.name)


@contextmanager
def prepared(program: Path, cores: Cores, directory: Path) -> Iterator[Bench]:
    """A lab with the targets in the company's network. The bench itself stays on the load's core. Raises LabError."""
    with ExitStack() as stack:
        stack.enter_context(on_core(cores.load))
        lab = stack.enter_context(Lab())
        corp = Namespace(lab.spaces[Role.CORP].name)
        targets = []
        for target, port in _TARGET_PORTS.items():
            command = [str(program), target, "--address", f"{CORP_ADDRESS}:{port}"]
            running = child(f"target-{target}", command, namespace=corp, core=cores.load, directory=directory)
            targets.append(stack.enter_context(running))
            targets[-1].line()
        yield Bench(lab=lab, cores=cores, program=program, targets=tuple(targets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """A tunnel that is up; made by `brought_up`.

    `clients` are the processes of the VPN client, which the gateway started; `servers` those of the VPN server.
    """

    bench: Bench
    device: str
    gateway: Child
    clients: tuple[int, ...]
    servers: tuple[int, ...]

    def ask(self, question: Question, seconds: float) -> Mapping[str, object]:
        """Runs a load to its end. Raises SampleError."""
        arguments = [*question.load.arguments, "--seconds", str(seconds)]
        return _ask(self.bench, arguments, question.load.target, question.way, self.device)

    def metered(self, question: Question, seconds: float) -> tuple[Mapping[str, object], Cost]:
        """As `ask`, with what it cost everybody until gateway and client have come to rest again."""
        begun = time.monotonic()
        machine, own = machine_seconds(), self._own_seconds()
        gateway, client, server = self._seconds()
        answer = self.ask(question, seconds)
        self._rest()
        gateway, client, server = (
            after - before for after, before in zip(self._seconds(), (gateway, client, server), strict=True)
        )
        own = self._own_seconds() - own
        machine = machine_seconds() - machine
        foreign = max(0.0, machine - own - gateway - client - server) / (time.monotonic() - begun)
        return answer, Cost(gateway=gateway, client=client, server=server, machine=machine, foreign_share=foreign)

    def _seconds(self) -> tuple[float, float, float]:
        return cpu_seconds([self.gateway.process.pid]), cpu_seconds(self.clients), cpu_seconds(self.servers)

    def _own_seconds(self) -> float:
        """CPU of the bench itself, of the load (reaped by now) and of the targets."""
        usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        targets = cpu_seconds(target.process.pid for target in self.bench.targets)
        return targets + sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def _rest(self, pause: float = 0.05, patience: float = 2.0) -> None:
        """Returns when gateway and client do next to nothing: connections that ended are still being closed."""
        until = time.monotonic() + patience
        after = sum(self._seconds())
        while time.monotonic() < until:
            before = after
            time.sleep(pause)
            after = sum(self._seconds())
            if after - before < _REST_SHARE * pause:
                return


@contextmanager
def brought_up(bench: Bench, kind: Kind, directory: Path) -> Iterator[Tunnel]:
    """A server of `kind`, and a gateway that has connected to it; both ended afterwards.

    Raises SampleError if no byte comes back through the gateway in time, LabError if there is no server.
    """
    lab, cores = bench.lab, bench.cores
    with ExitStack() as stack:
        with on_core(cores.server):
            server = stack.enter_context(lab.serving(kind.server(lab.workshop, _SITE)))
        forwards = [forward(target, port, _TARGET_PORTS[target]) for target, port in _LISTEN_PORTS.items()]
        file = directory / "forwards.toml"
        entry = tunnel(_NAME, server.access, *kind.further)
        file.write_text(configuration(lab, directory, entry, *forwards, gateway=_SETTINGS))
        command = [sys.executable, "-m", "gateway", "--config", str(file)]
        running = child("gateway", command, namespace=bench.cloud, core=cores.gateway, directory=directory, quiet=True)
        gateway = stack.enter_context(running)
        _wait_until_served(bench, gateway)
        clients = descendants(gateway.process.pid, parents())
        for each in clients:
            move(each, cores.client)
        process = lab.processes.id(server.name)
        if process is None or not clients:
            raise gateway.fail("has no VPN client" if process else "has no VPN server")
        yield Tunnel(
            bench=bench,
            device=_device(lab),
            gateway=gateway,
            clients=clients,
            servers=(process.pid, *descendants(process.pid, parents())),
        )


def _ask(bench: Bench, arguments: list[str], target: Target, way: Way, device: str) -> Mapping[str, object]:
    match way:
        case Way.GATEWAY:
            place = ["--address", f"127.0.0.1:{_LISTEN_PORTS[target]}"]
        case Way.DIRECT:
            place = ["--address", f"{CORP_ADDRESS}:{_TARGET_PORTS[target]}", "--device", device]
    command = [str(bench.program), *arguments, *place]
    return ask(arguments[0], command, namespace=bench.cloud, core=bench.cores.load, timeout=60)


def _wait_until_served(bench: Bench, gateway: Child) -> None:
    """Returns when a byte comes back through the gateway and the tunnel. Raises SampleError."""
    until = time.monotonic() + _CONNECT
    while True:
        try:
            _ask(bench, ["wait", "--seconds", "1"], Target.ECHO, Way.GATEWAY, "")
        except SampleError as error:
            if gateway.process.poll() is not None:
                raise gateway.fail("ended") from error
            if time.monotonic() > until:
                raise gateway.fail(f"did not connect within {_CONNECT:.0f} s") from error
        else:
            return


def _device(lab: Lab) -> str:
    """The tunnel's device, as the gateway's status has it."""
    command = [sys.executable, "-m", "gateway", "status", "--json", "--socket", str(control_socket(lab))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    (found,) = json.loads(done.stdout)["tunnels"]
    return str(found["interface"])
