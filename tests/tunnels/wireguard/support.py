"""What tests of the WireGuard client share: an entry for a server of the lab, and what processes there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from gateway.model import Endpoint, Secret, TunnelKind, TunnelSpec, WireguardSpec
from gateway.tunnels.wireguard.client import WireguardClient
from gateway.tunnels.wireguard.userspace import DIRECTORY
from tests.lab.servers.wireguard import WireGuardAccess
from tests.tunnels.ipsec.support import Run


def entry(access: WireGuardAccess, name: str = "zone-d", **further: object) -> TunnelSpec:
    """A tunnel as the configuration would say it."""
    shared = access.preshared_key
    vpn = WireguardSpec(
        servers=(Endpoint(access.host, access.port),),
        private_key=secret(access.private_key),
        peer_public_key=access.peer_public_key,
        preshared_key=None if shared is None else secret(shared),
        addresses=(access.address,),
        allowed_ips=tuple(map(ip_network, access.allowed_ips)),
        keepalive=access.keepalive,
    )
    return TunnelSpec(name=name, kind=TunnelKind.WIREGUARD, interface=name, vpn=replace(vpn, **further))  # type: ignore[arg-type]


@asynccontextmanager
async def running(client: WireguardClient, server: Endpoint | None = None) -> AsyncIterator[Run]:
    """Run a client; at the end of the block it is cancelled, if it has not ended, and closed."""
    try:
        async with asyncio.TaskGroup() as group:
            run = Run(client, group, server)  # type: ignore[arg-type]
            try:
                yield run
            finally:
                run.task.cancel()
    finally:
        await client.close()


def secret(path: Path) -> Secret:
    """What is in a file."""
    return Secret(path.read_text().strip())


def orders(device: str) -> Path:
    """Where the process of a device takes its orders."""
    return DIRECTORY / f"{device}.sock"


def processes(device: str) -> list[int]:
    """The living processes of wireguard-go for a device of this name, in any namespace of the lab but a server's."""
    command = f"/usr/bin/wireguard-go\0-f\0{device}\0".encode()
    return [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/cmdline") if _read(each) == command]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
