"""What tests of the OpenVPN client share: an entry for a server of the lab, and what processes there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gateway.model import Endpoint, OpenVpnSpec, Secret, Transport, TunnelKind, TunnelSpec
from gateway.tunnels.children import owned
from gateway.tunnels.openvpn.client import OpenVpnClient
from tests.lab.servers.openvpn import OpenVpnAccess
from tests.tunnels.ipsec.support import Run


def entry(access: OpenVpnAccess, name: str = "zone-c", **further: object) -> TunnelSpec:
    """A tunnel as the configuration would say it."""
    account, identity = access.account, access.identity
    vpn = OpenVpnSpec(
        servers=(Endpoint(access.host, access.port),),
        transport=Transport(access.transport),
        username=None if account is None else account.user,
        password=None if account is None else Secret(account.password),
        ca=access.ca.read_text(),
        certificate=None if identity is None else identity.certificate.read_text(),
        key=None if identity is None else Secret(identity.key.read_text()),
        tls_auth=_secret(access.tls_auth),
        tls_crypt=_secret(access.tls_crypt),
        verify_name=access.name,
    )
    return TunnelSpec(name=name, kind=TunnelKind.OPENVPN, interface=name, vpn=replace(vpn, **further))  # type: ignore[arg-type]


def _secret(path: Path | None) -> Secret | None:
    return None if path is None else Secret(path.read_text())


@asynccontextmanager
async def running(client: OpenVpnClient, server: Endpoint | None = None) -> AsyncIterator[Run]:
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


def processes() -> list[int]:
    """The living clients that this process has started."""
    return [pid for pid in owned() if Path(f"/proc/{pid}/cmdline").read_bytes() == _COMMAND]


_COMMAND = b"/usr/sbin/openvpn\0--config\0stdin\0"
