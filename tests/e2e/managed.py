"""Tunnels that the gateway brings up by itself, in its configuration: an entry from what a server's `access` says.

    with lab.serving(OpenVpnServer(lab.workshop, Site.A)) as server:
        text = configuration(lab, tmp_path, tunnel("zone-a", server.access), forward("hello", 33000))
        async with GatewayProcess(lab, tmp_path, text) as gateway:
            await connected(gateway, "zone-a")

Secrets come from the files that the lab keeps them in; with an `Environment`, from variables.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.harness import ADMIN, GatewayProcess, control_socket
from tests.lab.lab import Lab
from tests.lab.servers.ipsec import IpsecAccess
from tests.lab.servers.openvpn import OpenVpnAccess
from tests.lab.servers.wireguard import WireGuardAccess
from tests.lab.waiting import eventually

Access = OpenVpnAccess | IpsecAccess | WireGuardAccess
Reference = Callable[[Path], str]
"""How an entry refers to the secret that is in a file."""

_PATIENCE = 20.0  # seconds for a client to connect, or to fail, on a machine that may be busy


def by_file(secret: Path) -> str:
    """`{ file = … }`."""
    return f"{{ file = {_text(secret)} }}"


class Environment:
    """Secrets as variables: each that is asked for becomes one. Call it as a `Reference`; `variables` are for the run.

    As TOML's tables have it, the last newline of a file is not part of the secret.
    """

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}

    def __call__(self, secret: Path) -> str:
        name = f"VPN_SECRET_{1 + len(self.variables)}"
        self.variables[name] = secret.read_text().removesuffix("\n")
        return f"{{ env = {_text(name)} }}"


def configuration(lab: Lab, directory: Path, *entries: str, gateway: str = "", admin: str = "") -> str:
    """A configuration file: `entries` are whole tunnels and forwards, `gateway` and `admin` further lines.

    The book is in `directory`.
    """
    listen = f"{ADMIN[0]}:{ADMIN[1]}"
    lines = [f"listen = {_text(listen)}", f"socket = {_text(control_socket(lab))}", f"book = {_text(directory)}", admin]
    return "\n\n".join([f"[gateway]\n{gateway}", "\n".join(["[admin]", *lines]), *entries, ""])


def tunnel(name: str, access: Access, *further: str, secret: Reference = by_file) -> str:
    """A `[[tunnel]]` with single keys; `further` are lines of it, which may end with tables."""
    match access:
        case OpenVpnAccess():
            keys = _openvpn(access, secret)
        case IpsecAccess():
            keys = _ipsec(access, secret)
        case WireGuardAccess():
            keys = _wireguard(access, secret)
    return "\n".join(["[[tunnel]]", f"name = {_text(name)}", *keys, *further])


def with_bundle(name: str, access: IpsecAccess, *further: str, secret: Reference = by_file) -> str:
    """As `tunnel`, with the client's certificate, its key and the authority from the PKCS#12 file."""
    assert access.bundle is not None
    keys = [
        *('kind = "ipsec"', f'servers = ["{access.host}:{access.port}"]', f'auth = "{access.auth}"'),
        f"remote_id = {_text(access.name)}",
        f"pkcs12 = {by_file(access.bundle.file)}",
        f"pkcs12_password = {secret(access.bundle.password_file)}",
    ]
    return "\n".join(["[[tunnel]]", f"name = {_text(name)}", *keys, *further])


def by_profile(name: str, kind: str, profile: Path, *further: str) -> str:
    """A `[[tunnel]]` whose keys are in a file of the client's own kind: .ovpn, or wg-quick's."""
    return "\n".join(
        ["[[tunnel]]", f"name = {_text(name)}", f"kind = {_text(kind)}", f"profile = {_text(profile)}", *further]
    )


def _openvpn(access: OpenVpnAccess, secret: Reference) -> list[str]:
    keys = [
        'kind = "openvpn"',
        f'servers = ["{access.host}:{access.port}"]',
        f"transport = {_text(access.transport)}",
        f"ca = {by_file(access.ca)}",
        f"verify_name = {_text(access.name)}",
    ]
    if access.account is not None:
        keys += [f"username = {_text(access.account.user)}", f"password = {secret(access.account.password_file)}"]
    if access.identity is not None:
        keys += [f"certificate = {by_file(access.identity.certificate)}", f"key = {secret(access.identity.key)}"]
    if access.tls_auth is not None:
        keys.append(f"tls_auth = {secret(access.tls_auth)}")
    if access.tls_crypt is not None:
        keys.append(f"tls_crypt = {secret(access.tls_crypt)}")
    return keys


def _ipsec(access: IpsecAccess, secret: Reference) -> list[str]:
    keys = [
        'kind = "ipsec"',
        f'servers = ["{access.host}:{access.port}"]',
        f"auth = {_text(access.auth)}",
        f"ca = {by_file(access.ca)}",
    ]
    if access.name != access.host:
        keys.append(f"remote_id = {_text(access.name)}")
    if access.account is not None:
        keys += [f"username = {_text(access.account.user)}", f"password = {secret(access.account.password_file)}"]
    if access.identity is not None:
        keys += [f"certificate = {by_file(access.identity.certificate)}", f"key = {secret(access.identity.key)}"]
    return keys


def _wireguard(access: WireGuardAccess, secret: Reference) -> list[str]:
    keys = [
        'kind = "wireguard"',
        f'servers = ["{access.host}:{access.port}"]',
        f"private_key = {secret(access.private_key)}",
        f"peer_public_key = {_text(access.peer_public_key)}",
        f"addresses = [{_text(access.address)}]",
        f"allowed_ips = {json.dumps(list(access.allowed_ips))}",
        f'keepalive = "{access.keepalive}s"',
    ]
    if access.preshared_key is not None:
        keys.append(f"preshared_key = {secret(access.preshared_key)}")
    return keys


def _text(value: object) -> str:
    """A string of TOML; JSON's are, but for what no name or path of the lab has in it."""
    return json.dumps(str(value))


# ---------------------------------------------------------------- where its clients stand


async def told(gateway: GatewayProcess, name: str) -> dict[str, Any]:
    """What the gateway's status says of a tunnel; as `gateway status --json`, and cheaper."""
    status = json.loads((await gateway.admin("/api/v1/status")).body)
    (found,) = [each for each in status["tunnels"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


async def driver(gateway: GatewayProcess, name: str) -> dict[str, Any]:
    """What it says of the VPN client of a tunnel."""
    found = (await told(gateway, name))["driver"]
    assert isinstance(found, dict), f"{name} has no VPN client"
    return found


async def stands(
    gateway: GatewayProcess, name: str, *states: str, reason: str | None = None, within: float = _PATIENCE
) -> dict[str, Any]:
    """Wait until the VPN client of a tunnel is in one of `states`, with `reason` if given; what is said of it then.

    Raises NotReadyError.
    """
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.clear()
        found.update(await driver(gateway, name))
        return found["state"] in states and (reason is None or (found["failure"] or {}).get("reason") == reason)

    what = f"{name} is {' or '.join(states)}" + (f" for {reason}" if reason else "")
    await eventually(there, within=within, what=what, detail=lambda: f"it is {found}")
    return found


async def connected(gateway: GatewayProcess, *names: str, within: float = _PATIENCE) -> None:
    """Return when the VPN clients of these tunnels are connected. Raises NotReadyError."""
    for name in names:
        await stands(gateway, name, "connected", within=within)


async def ask(lab: Lab, order: str, name: str) -> dict[str, Any]:
    """Have a tunnel `connect` or `disconnect`, as the verbs do; where its VPN client stands then."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(control_socket(lab)))) as session,
        session.post(f"http://gateway/api/v1/tunnels/{name}/{order}") as answer,
    ):
        told = await answer.json()
        assert answer.status == 200, told
    found = told["driver"]
    assert isinstance(found, dict)
    return found


async def activities(gateway: GatewayProcess, name: str, kind: str) -> list[str]:
    """The details of what happened to a tunnel, of one kind, oldest first."""
    page = json.loads((await gateway.admin(f"/api/v1/activity?tunnel={name}&limit=1000")).body)
    return [each["detail"] for each in page["activities"] if each["kind"] == kind]
