"""What tests of the IKEv2 client share: an entry for a server, an ear, and a client that runs."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.model import Endpoint, Esp, Failure, IpsecAuth, IpsecSpec, LineLevel, Secret, TunnelKind, TunnelSpec
from gateway.tunnels.ipsec.client import IpsecClient
from tests.lab.servers.ipsec import IpsecAccess
from tests.tunnels.inside import inside

__all__ = ["Ear", "Run", "charons", "entry", "inside", "running"]

_PATIENCE = 20.0  # seconds for a connection, or its end, on a machine that may be busy


def entry(access: IpsecAccess, name: str = "zone-b", *, bundled: bool = False, **further: object) -> TunnelSpec:
    """A tunnel as the configuration would say it; `bundled`: with the PKCS#12 file alone."""
    given: dict[str, object] = {
        "servers": (Endpoint(access.host, access.port),),
        "auth": IpsecAuth(access.auth),
        "esp": Esp.USERSPACE,
    }
    if bundled:
        assert access.bundle is not None
        given["pkcs12"] = Secret(base64.b64encode(access.bundle.file.read_bytes()).decode())
        given["pkcs12_password"] = Secret(access.bundle.password)
    else:
        given["ca"] = access.ca.read_text()
        if access.identity is not None:
            given["certificate"] = access.identity.certificate.read_text()
            given["key"] = Secret(access.identity.key.read_text())
    if access.account is not None:
        given |= {"username": access.account.user, "password": Secret(access.account.password)}
    vpn = IpsecSpec(**(given | further))  # type: ignore[arg-type]
    return TunnelSpec(name=name, kind=TunnelKind.IPSEC, interface=name, vpn=vpn)


class Ear:
    """An `Attempt` that remembers."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.addresses: tuple[str, ...] = ()
        self.counts: list[tuple[int, int]] = []
        self.lines: list[tuple[LineLevel, str, str]] = []

    def connected(self, addresses):
        self.addresses = tuple(map(str, addresses))
        self.up.set()

    def counted(self, transmitted, received):
        self.counts.append((transmitted, received))

    def said(self, level, component, text):
        self.lines.append((level, component, text))

    @property
    def text(self) -> str:
        return "\n".join(f"{level} [{component}] {text}" for level, component, text in self.lines)


class Run:
    """A connection under way. `server` is for clients of more than one."""

    def __init__(self, client: IpsecClient, group: asyncio.TaskGroup, server: Endpoint | None = None) -> None:
        self.ear = Ear()
        self.task = group.create_task(client.run(server, self.ear))

    async def connected(self) -> Ear:
        async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
            up = group.create_task(self.ear.up.wait())
            await asyncio.wait({up, self.task}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
        assert self.ear.up.is_set(), f"{self.task.result()}\n{self.ear.text}"
        return self.ear

    async def ended(self) -> Failure:
        async with asyncio.timeout(_PATIENCE):
            return await self.task

    async def cancelled(self) -> None:
        self.task.cancel()
        async with asyncio.timeout(_PATIENCE):
            await asyncio.wait({self.task})
        assert self.task.cancelled()


@asynccontextmanager
async def running(client: IpsecClient, server: Endpoint | None = None) -> AsyncIterator[Run]:
    """Run a client; at the end of the block it is cancelled, if it has not ended, and closed."""
    async with asyncio.TaskGroup() as group:
        run = Run(client, group, server)
        try:
            yield run
        finally:
            run.task.cancel()
    await client.close()


def charons(runtime: Path) -> list[int]:
    """The living charons whose configuration is in `runtime`."""
    return [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/environ") if _configured_in(runtime, each)]


def _configured_in(runtime: Path, environment: Path) -> bool:
    try:
        return f"STRONGSWAN_CONF={runtime}/".encode() in environment.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
