"""What every kind of VPN shows to the lab, and what the lab gives to it.

A kind lives in one file of `kinds/`, named like the kind, with a function `vpn(workshop, site)` that returns a `Vpn`:
adding a file there is all it takes.
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


class Vpn(Protocol):
    """A VPN server at `site` and its client in the cloud."""

    @property
    def site(self) -> Site: ...

    @property
    def device(self) -> str:
        """The tunnel's device in the cloud; fixed, even while there is no such device."""

    @property
    def address(self) -> str:
        """The address that the server gave to the client. Raises LabError while there is none."""

    @property
    def server(self) -> str:
        """The name of the server's process."""

    @property
    def client(self) -> str:
        """The name of the client's process."""

    def start(self) -> None:
        """Start server and client; the tunnel carries traffic after `wait_ready`."""

    def wait_ready(self) -> None:
        """Return when the client is connected, its device has an address, and routes lead through it."""

    def restart(self, process: str) -> None:
        """Kill the server or the client, start it again, and wait until it is ready.

        Makes the device again if it is gone, and its routes. A restarted server does not wait for its client to
        notice.
        """


def kinds() -> tuple[str, ...]:
    """The kinds of VPN that can be had."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).with_name("kinds"))])))


def load(kind: str) -> Callable[[Workshop, Site], Vpn]:
    """The function that makes a VPN of `kind`. Raises LabError."""
    if kind not in kinds():
        raise LabError(f"no VPN is of kind {kind}; there are {', '.join(kinds())}")
    return cast(Callable[[Workshop, Site], Vpn], importlib.import_module(f"{_KINDS}.{kind}").vpn)
