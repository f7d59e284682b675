"""Failures on demand. Each is a context manager, and can also be injected and healed by hand, each any number of times.

What the cloud's kernel sees of them:

    carrier           the physical device NO-CARRIER; the tunnel's device nothing
    local_down        the physical device down; the tunnel's device nothing
    remote_down, blackhole, loss, rate, mtu, corp_dead, target_dead, reject      nothing at all
    tun_down          the tunnel's device down, its routes gone, index and address kept
    tun_carrier       the tunnel's device NO-CARRIER; index, address and routes kept
    tun_deleted       the tunnel's device gone; healed, it is another one of the same name
    address_removed   the address gone, and the routes that prefer it
    route_removed     the routes gone
    kill9, stop, freeze      what becomes of that process; `kill9` of a VPN client is `tun_carrier`

`heal` undoes the fault itself. A VPN client that has noticed may need seconds to come back: `Lab.heal` sees to that.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Self, cast, get_type_hints

from tests.lab.errors import CommandError, LabError
from tests.lab.names import Role
from tests.lab.netns import Link, Namespace
from tests.lab.topology import Site
from tests.lab.vpn import Vpn, Workshop
from tests.lab.waiting import wait_until

_SEEN = 2.0  # seconds for the kernel to say what a fault does; it takes milliseconds
_LEAVE = 10.0  # seconds for a process to end in order; a VPN server takes leave for two
_MTU = 1500


class Direction(StrEnum):
    """Which frames on a site's physical link are meant."""

    BOTH = "both"
    TO_SITE = "to_site"
    FROM_SITE = "from_site"


class Fault:
    """One failure, injected or not. Made by `Faults`."""

    def __init__(self, name: str, inject: Callable[[], None], heal: Callable[[], None], active: list[Fault]) -> None:
        self.name = name
        self._inject = inject
        self._heal = heal
        self._active = active

    def inject(self) -> None:
        """Make it happen; nothing if it has happened already. Returns when it is in effect."""
        if self not in self._active:
            self._active.append(self)  # first, so that what fails half-way is healed too
            self._inject()

    def heal(self) -> None:
        """Undo it; nothing if it is not injected."""
        if self in self._active:
            self._heal()
            self._active.remove(self)

    def __enter__(self) -> Self:
        self.inject()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.heal()


class Faults:
    """All failures that a lab can have. `restart` brings a process back by its name."""

    def __init__(self, workshop: Workshop, vpns: Mapping[Site, Vpn], restart: Callable[[str], None]) -> None:
        self._workshop = workshop
        self._vpns = vpns
        self._restart = restart
        self._active: list[Fault] = []

    @property
    def active(self) -> tuple[str, ...]:
        """The names of those injected and not healed, oldest first."""
        return tuple(fault.name for fault in self._active)

    def heal(self) -> None:
        """Heal all, newest first."""
        while self._active:
            self._active[-1].heal()

    # ---------------------------------------------------------------- the physical link

    def carrier(self, site: Site) -> Fault:
        """The cable is pulled near by."""
        return self._link(f"carrier {site}", self._space(Role.WAN), site.port_near)

    def local_down(self, site: Site) -> Fault:
        """The cloud's own physical device is switched off."""
        return self._link(f"local_down {site}", self._cloud, site.link)

    def remote_down(self, site: Site) -> Fault:
        """The server's physical device is switched off; a switch between hides it."""
        return self._link(f"remote_down {site}", self._space(site.role), "wan0")

    def blackhole(self, site: Site, direction: Direction = Direction.BOTH) -> Fault:
        """Frames vanish on the way, in one direction or both."""
        return self._drop_frames(f"blackhole {site} {direction}", site, direction, "")

    def loss(self, site: Site, percent: int) -> Fault:
        """So many frames of a hundred vanish, at random, each way. Raises ValueError unless it is 1 to 100."""
        if percent not in range(1, 101):
            raise ValueError(f"{percent} % of all frames")
        return self._drop_frames(
            f"loss {site} {percent}", site, Direction.BOTH, f"numgen random mod 100 <= {percent - 1}"
        )

    def rate(self, site: Site, bandwidth: str) -> Fault:
        """The link carries no more than `bandwidth`, in tc's words ("2mbit"), each way."""
        wan = self._space(Role.WAN)
        ports = (site.port_near, site.port_far)

        def inject() -> None:
            for port in ports:
                shape = ["root", "tbf", "rate", bandwidth, "burst", "16kb", "latency", "200ms"]
                wan.run(["tc", "qdisc", "replace", "dev", port, *shape])

        def heal() -> None:
            for port in ports:
                _if_there(wan.run, ["tc", "qdisc", "del", "dev", port, "root"])

        return self._fault(f"rate {site} {bandwidth}", inject, heal)

    def mtu(self, site: Site, size: int) -> Fault:
        """Packets of more than `size` bytes vanish in silence: handshakes work, bulk hangs."""
        wan = self._space(Role.WAN)

        def set_to(size: int) -> None:
            wan.ip(f"link set {site.port_near} mtu {size}", f"link set {site.port_far} mtu {size}")

        return self._fault(f"mtu {site} {size}", lambda: set_to(size), lambda: set_to(_MTU))

    # ---------------------------------------------------------------- behind the tunnel

    def corp_dead(self, site: Site) -> Fault:
        """The tunnel works, and the company's network behind it is silent."""
        return self._beyond(f"corp_dead {site}", site, "drop")

    def target_dead(self, site: Site, port: int) -> Fault:
        """The tunnel works, and so do all ports behind it but this one, which is silent; the other site reaches it."""
        return self._beyond(f"target_dead {site} {port}", site, "drop", condition=f"tcp dport {port}")

    def reject(self, site: Site) -> Fault:
        """The tunnel works, and its far end says that the company's hosts cannot be reached."""
        return self._beyond(f"reject {site}", site, "reject with icmp type host-unreachable")

    # ---------------------------------------------------------------- the tunnel's device

    def tun_down(self, site: Site) -> Fault:
        """The tunnel's device is switched off; the client lives."""
        vpn = self._vpns[site]

        def heal() -> None:
            self._cloud.ip(f"link set {vpn.device} up")
            self._workshop.routes.plain(site, vpn.device)

        return self._fault(f"tun_down {site}", lambda: self._cloud.ip(f"link set {vpn.device} down"), heal)

    def tun_carrier(self, site: Site) -> Fault:
        """The client is killed; its persistent device stays, without a carrier."""
        vpn = self._vpns[site]

        def inject() -> None:
            self._workshop.processes.kill(vpn.client)
            wait_until(lambda: not self._device(site).carrier, within=_SEEN, what=f"{vpn.device} without a carrier")

        return self._fault(f"tun_carrier {site}", inject, lambda: self._restart(vpn.client))

    def tun_deleted(self, site: Site) -> Fault:
        """The tunnel's device is deleted."""
        vpn = self._vpns[site]

        def inject() -> None:
            # A client whose device is gone reads errors as fast as it can: frozen, it cannot.
            self._workshop.processes.signal(vpn.client, signal.SIGSTOP)
            self._cloud.ip(f"link del {vpn.device}")
            self._workshop.processes.kill(vpn.client)

        return self._fault(f"tun_deleted {site}", inject, lambda: self._restart(vpn.client))

    def address_removed(self, site: Site) -> Fault:
        """The tunnel's device loses its address."""
        vpn = self._vpns[site]
        removed: list[str] = []

        def inject() -> None:
            removed[:] = self._device(site).addresses
            self._cloud.ip(*(f"addr del {address} dev {vpn.device}" for address in removed))

        def heal() -> None:
            self._cloud.ip(*(f"addr replace {address} dev {vpn.device}" for address in removed))
            self._workshop.routes.plain(site, vpn.device)

        return self._fault(f"address_removed {site}", inject, heal)

    def route_removed(self, site: Site) -> Fault:
        """The routes to the company's network through this tunnel are taken away."""
        routes, device = self._workshop.routes, self._vpns[site].device
        return self._fault(
            f"route_removed {site}", lambda: routes.remove(site, device), lambda: routes.plain(site, device)
        )

    # ---------------------------------------------------------------- processes

    def kill9(self, process: str) -> Fault:
        """A process of the lab, known by its name, is killed."""
        return self._fault(
            f"kill9 {process}", lambda: self._workshop.processes.kill(process), lambda: self._restart(process)
        )

    def stop(self, process: str) -> Fault:
        """A process of the lab ends in order: a VPN server takes leave of its clients."""
        processes = self._workshop.processes

        def inject() -> None:
            processes.signal(process, signal.SIGTERM)
            processes.wait(process, _LEAVE)

        return self._fault(f"stop {process}", inject, lambda: self._restart(process))

    def freeze(self, process: str) -> Fault:
        """A process of the lab is stopped: alive, and mute."""

        def send(number: signal.Signals) -> Callable[[], None]:
            return lambda: self._workshop.processes.signal(process, number)

        return self._fault(f"freeze {process}", send(signal.SIGSTOP), send(signal.SIGCONT))

    # ---------------------------------------------------------------- by name, for the command line

    @classmethod
    def names(cls) -> dict[str, str]:
        """Every fault by name, and the words it takes."""
        found = {}
        for name, method in vars(cls).items():
            hints = get_type_hints(method) if callable(method) and not name.startswith("_") else {}
            if hints.get("return") is Fault and name != "by_name":
                found[name] = " ".join(word.upper() for word in hints if word != "return")
        return found

    def by_name(self, name: str, *words: str) -> Fault:
        """The fault called `name`, its arguments as text. Raises LabError if there is none, or they do not fit."""
        if name not in self.names():
            raise LabError(f"no fault is called {name}; there are {', '.join(self.names())}")
        method = cast(Callable[..., Fault], getattr(self, name))
        kinds = [kind for word, kind in get_type_hints(method).items() if word != "return"]
        try:
            if len(words) > len(kinds):
                raise ValueError(f"too many words: {' '.join(words)}")  # noqa: TRY301 - all that is wrong ends below
            return method(*(kind(word) for kind, word in zip(kinds, words, strict=False)))
        except (TypeError, ValueError) as error:
            raise LabError(f"usage: {name} {self.names()[name]}: {error}") from error

    # ---------------------------------------------------------------- how they are made

    @property
    def _cloud(self) -> Namespace:
        return self._workshop.cloud

    def _space(self, role: Role) -> Namespace:
        return self._workshop.spaces[role]

    def _device(self, site: Site) -> Link:
        link = self._cloud.link(self._vpns[site].device)
        if link is None:
            raise LabError(f"{self._vpns[site].device} is gone")
        return link

    def _fault(self, name: str, inject: Callable[[], None], heal: Callable[[], None]) -> Fault:
        return Fault(name, inject, heal, self._active)

    def _link(self, name: str, space: Namespace, device: str) -> Fault:
        return self._fault(name, lambda: space.ip(f"link set {device} down"), lambda: space.ip(f"link set {device} up"))

    def _drop_frames(self, name: str, site: Site, direction: Direction, condition: str) -> Fault:
        ports = {
            Direction.BOTH: f"{site.port_near}, {site.port_far}",
            Direction.TO_SITE: site.port_near,
            Direction.FROM_SITE: site.port_far,
        }[direction]
        rule = f"iifname {{ {ports} }} {condition} counter drop"
        return self._filter(name, self._space(Role.WAN), "bridge", rule)

    def _beyond(self, name: str, site: Site, verdict: str, *, condition: str = "") -> Fault:
        return self._filter(name, self._space(site.role), "inet", f"oifname lan0 {condition} counter {verdict}")

    def _filter(self, name: str, space: Namespace, family: str, rule: str) -> Fault:
        table = f"{family} {name.replace(' ', '_')}"
        chain = f"chain forward {{ type filter hook forward priority 0; {rule}\n}}"
        return self._fault(
            name,
            lambda: space.nft(f"table {table} {{ {chain}\n}}"),
            lambda: _if_there(space.nft, f"delete table {table}"),
        )


def _if_there(action: Callable[..., object], argument: object) -> None:
    """Take away what an injection that failed half-way may not have put there."""
    try:
        action(argument)
    except CommandError as error:
        if "No such file" not in error.output and "handle of zero" not in error.output:
            raise
