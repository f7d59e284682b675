"""What the failover tests share: a gateway whose tunnels come back soon, and the seal around it.

Every failover is seen from outside, too: the tunnels have the rules and the unreachable default that a managed tunnel
will bring, and a capture on the physical links has to end without one packet to or from the company's network.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.harness import Event, GatewayProcess, configuration
from tests.lab import client
from tests.lab.corp import HTTP_PORT
from tests.lab.lab import Lab
from tests.lab.netns import Namespace
from tests.lab.topology import CORP_ADDRESS, Site

LOOPBACK = "127.0.0.1"
PATIENCE = 10.0  # seconds for what has to come, on a machine that may be busy
HOLD_DOWN = 0.3  # seconds; doubled by every further fall
RISE = 0.18  # seconds that a tunnel has to look good, at least: two answers, about one interval apart
_SOON_BACK = f'failback_delay = "{round(HOLD_DOWN * 1000)}ms"\n[tunnel.health]\ninterval = "200ms"\nrise = 2'


def zone(site: Site) -> str:
    """The name of the tunnel to `site` in the configuration."""
    return f"zone-{site}"


def forward(name: str, port: int, target: int = HTTP_PORT, *further: str, host: str = CORP_ADDRESS) -> str:
    """A `[[forward]]` that listens on the loopback's `port`; `further` are lines of it."""
    lines = ["[[forward]]", f'name = "{name}"', f'listen = "{LOOPBACK}:{port}"', f'target = "{host}:{target}"']
    return "\n".join([*lines, *further])


def at(event: Event) -> float:
    """When `event` was logged: seconds as of `time.time()`, in whole milliseconds."""
    return datetime.fromisoformat(str(event["timestamp"])).timestamp()


async def page(lab: Lab, port: int, *, within: float = PATIENCE) -> str:
    """Read the company's page through the forward on `port`; the address it saw says by which tunnel."""
    return (await client.fetch(lab.cloud, host=LOOPBACK, port=port, within=within)).seen


@contextmanager
def sealed(lab: Lab) -> Iterator[None]:
    """Own routing tables for both tunnels, and the proof that nothing left beside them meanwhile."""
    with lab.routes.owned(*((site, vpn.device) for site, vpn in lab.vpns.items())), lab.capture() as capture:
        yield
    assert capture.packets == ()


@asynccontextmanager
async def sealed_gateway(
    lab: Lab,
    directory: Path,
    *forwards: str,
    gateway: str = "",
    tunnel: str = _SOON_BACK,
    launcher: Sequence[str] = (),
) -> AsyncIterator[GatewayProcess]:
    """A gateway that is ready, within the seal; `tunnel` are further lines of each tunnel, "" for the defaults."""
    text = configuration(lab, *forwards, gateway=gateway, tunnel=tunnel)
    with sealed(lab):
        async with GatewayProcess(lab, directory, text, launcher=launcher) as process:
            await process.ready()
            yield process


async def active(gateway: GatewayProcess, forward: str, site: Site) -> None:
    """Return when new sessions of `forward` go through the tunnel to `site`."""
    await gateway.metric("gateway_forward_active_tunnel", lambda value: value == 1, forward=forward, tunnel=zone(site))


class EchoClient:
    """One session with the company's echo server, through the forward on `port`. An async context manager."""

    def __init__(self, space: Namespace, port: int) -> None:
        self._space = space
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await client.connect(self._space, LOOPBACK, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()

    async def echoes(self, text: bytes = b"hello", *, within: float = PATIENCE) -> bool:
        """Send `text` and take as much back: whether it is the same. Raises ConnectionError, or TimeoutError."""
        self._writer.write(text)
        async with asyncio.timeout(within):
            return await self._reader.readexactly(len(text)) == text

    async def is_reset(self, *, within: float = PATIENCE) -> bool:
        """Wait for the end of the session: whether it is RST. Raises TimeoutError."""
        async with asyncio.timeout(within):
            try:
                await self._reader.read()
            except ConnectionResetError:
                return True
        return False
