"""What every kind of VPN shows to the lab, and what the lab gives to it.

A kind lives in one file of `kinds/`, named like the kind, with its client and a function `vpn(workshop, site)` that
returns a `Vpn`: adding a file there is all it takes. Its server is in `servers/`, since it is of use without a client.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from tests.lab.errors import LabError
from tests.lab.names import Role
from tests.lab.netns import Namespace
from tests.lab.pki import Pki
from tests.lab.processes import ProcessBook
from tests.lab.routes import Routes
from tests.lab.server import Server
from tests.lab.state import LabDirectory
from tests.lab.topology import Site

_KINDS = f"{__package__}.kinds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a VPN is built with."""

    directory: LabDirectory
    spaces: Mapping[Role, Namespace]
    processes: ProcessBook
    pki: Pki
    routes: Routes

    @property
    def cloud(self) -> Namespace:
        return self.spaces[Role.CLOUD]


class Client(Protocol):
    """The client of a VPN, as a process in the cloud."""

    @property
    def name(self) -> str:
        """The name of its process."""

    @property
    def device(self) -> str:
        """The tunnel's device; fixed, even while there is no such device."""

    def start(self) -> None:
        """Start it, with its device; its server is ready."""

    def wait_ready(self) -> None:
        """Return when it is connected and its device has an address. Raises LabError with what it said."""

    def restart(self) -> None:
        """Kill it if it is alive, make its device again if it is gone, start it again, and wait until it is ready."""

    def stop(self) -> None:
        """Kill it, and delete its device: another client's address would come on top of this one's."""


class Vpn:
    """A VPN server at `site` and its client in the cloud, with routes to the company's network through it."""

    def __init__(self, workshop: Workshop, site: Site, server: Server, client: Client) -> None:
        self._workshop = workshop
        self._server = server
        self._client = client
        self.site = site

    @property
    def device(self) -> str:
        """The tunnel's device in the cloud; fixed, even while there is no such device."""
        return self._client.device

    @property
    def address(self) -> str:
        """The address that the client has been given. Raises LabError while there is none."""
        return self._workshop.cloud.address(self.device)

    @property
    def server(self) -> str:
        """The name of the server's process."""
        return self._server.name

    @property
    def client(self) -> str:
        """The name of the client's process."""
        return self._client.name

    def start(self) -> None:
        """Start server and client; the tunnel carries traffic after `wait_ready`."""
        self._server.start()
        self._server.wait_ready()  # a client that comes too early may wait for seconds before it tries again
        self._client.start()

    def wait_ready(self) -> None:
        """Return when the client is connected, its device has an address, and routes lead through it."""
        self._client.wait_ready()
        self._workshop.routes.plain(self.site, self.device)

    def restart(self, process: str) -> None:
        """Kill the server or the client, start it again, and wait until it is ready.

        Makes the device again if it is gone, and its routes. A restarted server does not wait for its client to
        notice.
        """
        if process == self.server:
            self._server.restart()
        else:
            self._client.restart()
            self._workshop.routes.plain(self.site, self.device)


def kinds() -> tuple[str, ...]:
    """The kinds of VPN that can be had."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).with_name("kinds"))])))


def load(kind: str) -> Callable[[Workshop, Site], Vpn]:
    """The function that makes a VPN of `kind`. Raises LabError."""
    if kind not in kinds():
        raise LabError(f"no VPN is of kind {kind}; there are {', '.join(kinds())}")
    return cast(Callable[[Workshop, Site], Vpn], importlib.import_module(f"{_KINDS}.{kind}").vpn)
