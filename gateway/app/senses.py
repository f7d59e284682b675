"""The senses: everything that brings evidence to the controller, pointed at what matters under the present table.

kernel (devices, routes) · counters · name servers · probes · traffic · what dials say
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import Any, Final

import structlog

from gateway.app.ways import Ways
from gateway.control.counters import Counters
from gateway.control.kernel import KernelWatcher
from gateway.control.prober import Prober, ProberStats
from gateway.control.probes.asking import ask
from gateway.control.resolver import Addresses, Resolver
from gateway.control.traffic import TrafficWatch
from gateway.dataplane.messages import DialFailed, DialOutrun, FirstConnect
from gateway.model import (
    Config,
    DialFailure,
    Endpoint,
    KernelSnapshot,
    ProbeOutcome,
    ProbePlan,
    RoutingTable,
    Vitals,
)
from gateway.observe.events import Event
from gateway.observe.throttle import Throttle
from gateway.policy.evidence import Connected, Evidence, Heard, KernelSeen, NamesSeen
from gateway.policy.names import questions, tunnel_names
from gateway.tunnels.driver import Driver

log = structlog.get_logger()

_ANSWERED: Final = frozenset({DialFailure.REFUSED, DialFailure.RESET})
_SUSPECT: Final = frozenset({DialFailure.TIMED_OUT, DialFailure.UNREACHABLE})


class Senses:
    """Posts evidence until its workers are cancelled. Make it inside the event loop."""

    def __init__(
        self,
        config: Config,
        drivers: Mapping[str, Driver],
        *,
        ways: Ways,
        post: Callable[[Evidence], None],
        vitals: Callable[[str], Vitals],
    ) -> None:
        """`vitals(tunnel)` is the data plane's. `ways` are told what routes are needed, and where."""
        interfaces = {name: driver.interface for name, driver in drivers.items()}
        self._post = post
        self._ways = ways
        self._specs = {spec.name: spec for spec in config.tunnels}
        self._interfaces = interfaces
        self._asked = questions(config.forwards, config.tunnels)
        self._dial_log = Throttle(seconds=1.0)
        self._watched: tuple[object, object] = (None, None)
        self._lookups: frozenset[tuple[str, str]] = frozenset()
        self._plans: Mapping[str, ProbePlan] = {}
        self._watcher = KernelWatcher(self._kernel_seen)
        self._resolver = Resolver(self._names_seen)
        self._counters = Counters(post)
        self._counters.watch(interfaces)
        self._traffic = TrafficWatch(post=post, vitals=vitals, suspect=self._suspect)
        self._prober = Prober(post=post, look=self._traffic.look, dialled=self._traffic.dialled)

    def workers(self) -> dict[str, Coroutine[Any, Any, None]]:
        """By name, what is to run for as long as the gateway does."""
        return {
            "kernel": self._watcher.run(),
            "resolver": self._resolver.run(),
            "counters": self._counters.run(),
            "traffic": self._traffic.run(),
            "prober": self._prober.run(),
        }

    def start(self, table: RoutingTable) -> None:
        """Look at what `table` needs for the first time; before the workers run."""
        self._resolver.watch(self._asked.system, tunnel_names(self._asked, self._specs.values(), {}))
        self.follow(table)

    def probe(self, plans: Mapping[str, ProbePlan]) -> None:
        """Probe by `plans`."""
        self._plans = plans
        self._prober.watch(plans)
        self._traffic.watch(frozenset(plans))

    def follow(self, table: RoutingTable) -> None:
        """Watch the devices and routes that matter under `table`; read again at once if they are others than before.

        With ten thousand forwards, working them out is not something to do at every failover.
        """
        seen = table.addresses, table.tunnel_addresses
        if all(old is new for old, new in zip(seen, self._watched, strict=True)):
            return
        self._watched = seen
        self._lookups = frozenset(
            (self._interfaces[tunnel], address)
            for forward in table.forwards
            for host in {ports.target.host for ports in forward.ports}
            for tunnel in forward.tunnels
            for address in table.addresses_through(tunnel, host)
        )
        self._look_again()

    def dial_failed(self, failure: DialFailed) -> None:
        """What a dial that failed says: somebody is there, or perhaps nobody, or the kernel knows more than we do."""
        count = self._dial_log.passes((failure.tunnel, failure.reason), monotonic())
        if count is not None:
            log.warning(
                Event.DIAL_FAILED,
                tunnel=failure.tunnel,
                forward=failure.forward,
                target=str(failure.target),
                reason=failure.reason.value,
                count=count,
            )
        if failure.reason in _ANSWERED:
            self._post(Heard(tunnel=failure.tunnel, target=failure.target, at=monotonic()))
        elif failure.reason in _SUSPECT:
            self._prober.suspect(failure.tunnel, failure.target, monotonic())
        elif failure.reason is DialFailure.NOT_PROVEN:
            self._look_again()

    def dial_outrun(self, outrun: DialOutrun) -> None:
        """A race that another tunnel won: this one's silence is worth a probe."""
        self._prober.suspect(outrun.tunnel, outrun.target, outrun.since)

    def connected(self, first: FirstConnect) -> None:
        """The first connect after a failover."""
        self._post(Connected(forward=first.forward, tunnel=first.tunnel, at=first.at))

    async def dial(self, tunnel: str, target: Endpoint) -> bool:
        """Whether `target` answers through `tunnel` now, be it to refuse."""
        plan = self._plans.get(tunnel)
        if plan is None or plan.path is None:
            return False
        aim = next((it for it in (*plan.targets, *plan.aims) if it.spec.endpoint == target), None)
        if aim is None:
            return False
        answer = await ask(aim, plan.path, plan.settings.timeout)
        return answer.outcome in {ProbeOutcome.PASSED, ProbeOutcome.ANSWERED}

    def stats(self) -> ProberStats:
        """What the prober counted."""
        return self._prober.stats()

    # ------------------------------------------------------------ parts

    def _look_again(self) -> None:
        """Have the kernel watcher read once more. Cheap: every dial that is refused asks for it."""
        self._watcher.watch(frozenset(self._interfaces.values()), self._lookups)

    def _kernel_seen(self, snapshot: KernelSnapshot) -> None:
        if self._asked.through:
            self._resolver.watch(self._asked.system, tunnel_names(self._asked, self._specs.values(), snapshot.links))
        self._ways.devices(snapshot.links, snapshot.unrouted)
        self._post(KernelSeen(snapshot=snapshot))

    def _names_seen(self, system: Mapping[str, Addresses], through: Mapping[tuple[str, str], Addresses]) -> None:
        self._ways.names(system, through)
        self._post(NamesSeen(addresses=system, through=through))

    def _suspect(self, tunnel: str, target: Endpoint, since: float) -> None:
        self._prober.suspect(tunnel, target, since)
