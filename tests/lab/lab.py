"""A whole lab: namespaces, cables, the company's servers, VPNs at its sites, and what can be done to them.

    with Lab("openvpn") as lab:
        with lab.faults.carrier(Site.A), lab.capture() as capture:
            ...

    with Lab("openvpn", "ipsec", "wireguard") as lab:      # at the sites a, b, c
        ...

    with Lab() as lab, lab.serving(IpsecServer(lab.workshop, Site.A)) as server:      # the client is yours
        ...

A lab belongs to the process, and to the thread, that made it, and dies with it. Labs do not see each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

from tests.lab import capture, client, prerequisites, state, topology, vpn
from tests.lab.corp import NAME as CORP
from tests.lab.corp import Corp
from tests.lab.errors import LabError
from tests.lab.faults import Faults
from tests.lab.names import Role, namespace_name, new_name
from tests.lab.netns import Namespace
from tests.lab.pki import Pki
from tests.lab.processes import ProcessBook
from tests.lab.routes import Routes
from tests.lab.server import Server
from tests.lab.topology import PAIR, Site
from tests.lab.vpn import Vpn, Workshop
from tests.lab.waiting import wait_until

_ANSWER = 1.5  # seconds; a healthy tunnel of the lab answers in a few milliseconds, and after a lost SYN in a second
_REVIVAL = 10.0  # seconds; a restarted client is connected when it is asked, so this is for a busy machine
_S = TypeVar("_S", bound=Server)


class Lab:
    """A context manager. One kind of VPN is for the sites a and b; several are for a, b and c in this order.

    Without a kind there are the network and the company's servers only. Raises LabError for more kinds than sites.
    """

    def __init__(self, *kinds: str) -> None:
        if len(kinds) > len(Site):
            raise LabError(f"a lab has {len(Site)} sites, not {len(kinds)}")
        self._kinds = dict.fromkeys(PAIR, kinds[0]) if len(kinds) == 1 else dict(zip(Site, kinds, strict=False))
        self._vpns: dict[Site, Vpn] = {}
        self._serving: dict[str, Server] = {}

    # ---------------------------------------------------------------- life

    def up(self) -> None:
        """Build everything; what was built is taken down again if some of it fails. Raises LabError."""
        prerequisites.require()
        self.directory = state.claim(new_name())
        self.spaces: Mapping[Role, Namespace] = {
            role: Namespace(namespace_name(self.directory.name, role)) for role in Role
        }
        self.processes = ProcessBook(self.directory.processes, self.directory.log)
        self.routes = Routes(self.cloud)
        try:
            self._build()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End every process, delete every namespace, remove the directory."""
        self.processes.kill_all()
        for space in self.spaces.values():
            space.close()
        state.release(self.directory)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def _build(self) -> None:
        for space in self.spaces.values():
            space.create()
        corp = self._corp = Corp(self.spaces[Role.CORP], self.processes)
        corp.start()  # listens on every address, also on those that come later
        topology.build(self.spaces)
        self.workshop = Workshop(
            directory=self.directory,
            spaces=self.spaces,
            processes=self.processes,
            pki=Pki(self.directory.pki),
            routes=self.routes,
        )
        self.faults = Faults(self.workshop, self._vpns, self.restart)
        self._vpns.update({site: vpn.load(kind)(self.workshop, site) for site, kind in self._kinds.items()})
        for each in self._vpns.values():
            each.start()
        for each in self._vpns.values():
            each.wait_ready()
        corp.wait_ready()

    # ---------------------------------------------------------------- parts

    @property
    def cloud(self) -> Namespace:
        """Where the gateway runs."""
        return self.spaces[Role.CLOUD]

    @property
    def vpns(self) -> Mapping[Site, Vpn]:
        return self._vpns

    def vpn(self, site: Site) -> Vpn:
        """The VPN of `site`. Raises KeyError in a lab without."""
        return self._vpns[site]

    @contextmanager
    def serving(self, server: _S) -> Iterator[_S]:
        """Run `server`, ready when the context begins, and stopped at its end.

        Meanwhile `restart` knows it by its name, and so do the faults of processes. Raises LabError if there is one
        of this name already.
        """
        if self.processes.alive(server.name):
            raise LabError(f"{server.name} runs already")
        self._serving[server.name] = server
        try:
            server.start()
            server.wait_ready()
            yield server
        finally:
            server.stop()
            del self._serving[server.name]

    def capture(self, expression: str = capture.TO_CORP) -> capture.Capture:
        """A capture on all physical links of the cloud; by default of what is meant for the company's network."""
        return capture.on_physical_links(self.cloud, self.processes, expression)

    # ---------------------------------------------------------------- orders

    def restart(self, process: str) -> None:
        """Kill a process of the lab if it is alive, start it again, and wait until it is ready."""
        if process == CORP:
            self._corp.restart()
            return
        for each in self._vpns.values():
            if process in (each.server, each.client):
                each.restart(process)
                return
        if process in self._serving:
            self._serving[process].restart()
            return
        raise LabError(f"no process is called {process}; there are {', '.join(self.processes.names())}")

    def heal(self) -> None:
        """Make the lab as good as new: no fault, no own routing tables, every tunnel answers.

        A client that does not answer at once is not waited for but restarted.
        """
        self.faults.heal()
        self.routes.disown_all()
        for site in self._vpns:
            if not self.answers(site):
                self._revive(site)

    def _revive(self, site: Site) -> None:
        client_name = self.vpn(site).client
        self.restart(client_name)
        wait_until(
            lambda: self.answers(site),
            within=_REVIVAL,
            what=f"site {site} answers",
            detail=lambda: self.processes.log(client_name),
        )

    def answers(self, site: Site) -> bool:
        """Whether the company's page can be read through the tunnel of `site`. Not to be called in an event loop."""
        tunnel = self.vpn(site)
        try:
            answer = asyncio.run(client.fetch(self.cloud, device=tunnel.device, within=_ANSWER))
        except OSError:  # TimeoutError is one
            return False
        return answer.seen == tunnel.address
