"""No secret of a tunnel shows anywhere: not in logs, arguments, environments, answers, metrics, files, core files.

Every kind of secret there is was given to one gateway, which connected with all of them, failed with another, and was
asked for everything that it tells.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e import secrecy
from tests.e2e.failover import forward, page
from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import Environment, ask, configuration, connected, stands, tunnel, with_bundle
from tests.e2e.verbs import verb
from tests.lab.lab import Lab
from tests.lab.pki import CLIENT, Account
from tests.lab.servers.ipsec import Auth, IpsecServer
from tests.lab.servers.openvpn import ControlKey, Login, OpenVpnServer
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import Site

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

_GOOD = ("crypted", "authenticated", "mschap", "bundle", "wg")
_BAD = "refused"
_PORT = 33000
_EVERYWHERE = tuple(map(Path, ("/run", "/tmp", "/var/tmp", "/var/log", "/var/lib", "/dev/shm")))  # noqa: S108


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A gateway that was given secrets: `by_env` is the one among them that is in its environment.

    `kept` is where they may be: the lab's own files, and those of the run.
    """

    lab: Lab
    gateway: GatewayProcess
    directory: Path
    environment: dict[str, str]
    secrets: dict[str, str]
    by_env: str
    since: float
    kept: tuple[Path, ...]

    @property
    def secret_files(self):
        """The secrets of the others, which stand in files."""
        return {name: secret for name, secret in self.secrets.items() if name != self.by_env}


@pytest.fixture(scope="module")
def servers(shared_empty_lab):
    lab = shared_empty_lab
    found = {
        "crypted": OpenVpnServer(lab.workshop, Site.A, login=Login.BOTH),
        "authenticated": OpenVpnServer(lab.workshop, Site.A, number=2, control_key=ControlKey.TLS_AUTH),
        "mschap": IpsecServer(lab.workshop, Site.A),
        "bundle": IpsecServer(lab.workshop, Site.B, auth=Auth.TLS),
        "wg": WireGuardServer(lab.workshop, Site.C, preshared=True),
    }
    with ExitStack() as stack:
        for server in found.values():
            stack.enter_context(lab.serving(server))
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def planted(shared_empty_lab, servers, tmp_path_factory):
    lab, directory, since = shared_empty_lab, tmp_path_factory.mktemp("gateway"), time.time()
    away = tmp_path_factory.mktemp("secrets")
    pki, by_env = lab.workshop.pki, Environment()
    wrong = Account.write(away, pki.account.user, f"wrong-{secrets.token_urlsafe(18)}")
    entries = [
        *(tunnel(name, servers[name].access) for name in ("crypted", "authenticated", "mschap", "wg")),
        with_bundle("bundle", servers["bundle"].access, secret=by_env),
        tunnel(_BAD, replace(servers["mschap"].access, account=wrong)),
    ]
    text = configuration(lab, directory, *entries, forward("hello", _PORT))
    environment = {**by_env.variables, "GATEWAY_LOG_LEVEL": "debug"}
    async with GatewayProcess(lab, directory, text, environment=environment) as gateway:
        await gateway.ready()
        await connected(gateway, *_GOOD)
        await stands(gateway, _BAD, "auth_failed")
        await gateway.metric("gateway_tunnel_up", lambda value: value == len(_GOOD))
        assert await page(lab, _PORT)
        for order in ("disconnect", "connect"):  # what is said at a connection's end counts as well
            await asyncio.gather(*(ask(lab, order, name) for name in _GOOD))
        await connected(gateway, *_GOOD)
        await gateway.metric("gateway_tunnel_up", lambda value: value == len(_GOOD))
        yield Planted(
            lab=lab,
            gateway=gateway,
            directory=directory,
            environment=by_env.variables,
            secrets={
                "password": pki.account.password,
                "wrong password": wrong.password,
                "key": pki.client().key.read_text(),
                "tls-crypt key": pki.tls_crypt.read_text(),
                "tls-auth key": pki.tls_auth.read_text(),
                "password of the bundle": pki.bundle.password,
                "private key": pki.wireguard(CLIENT).private.read_text(),
                "preshared key": pki.preshared.read_text(),
            },
            by_env="password of the bundle",
            since=since,
            kept=(lab.directory.path, away),
        )


async def test_no_process_was_started_with_one(planted):
    gateway, *children = secrecy.family(planted.gateway.pid)
    started = secrecy.of_processes(children)
    for program in (b"openvpn", b"charon", b"wireguard-go"):
        assert any(program in arguments for place, arguments in started.items() if place.endswith("cmdline"))
    assert not secrecy.exposed(planted.secrets, started)
    itself = secrecy.of_processes([gateway])
    assert not secrecy.exposed(planted.secret_files, itself)
    assert secrecy.exposed(planted.secrets, itself) == [f"{planted.by_env} in /proc/{gateway}/environ"]


async def test_no_line_of_the_log_has_one(planted):
    said = "\n".join(planted.gateway.lines)
    assert '"debug"' in said
    assert {each["component"] for each in planted.gateway.events if each["event"] == "vpn.line"} >= {"openvpn"}
    assert not secrecy.exposed(planted.secrets, {"the log": said.encode()})


async def test_no_answer_has_one(planted):
    paths = [
        "/api/v1/status",
        "/api/v1/explain/hello",
        "/api/v1/logs?limit=1000",
        *(f"/api/v1/logs?limit=1000&tunnel={name}" for name in (*_GOOD, _BAD)),
        "/api/v1/activity?limit=1000",
        "/readyz",
        "/metrics",
    ]
    answers = {path: await planted.gateway.admin(path) for path in paths}
    assert {path: answer.status for path, answer in answers.items() if answer.status != 200} == {}
    bodies = {path: answer.body for path, answer in answers.items()}
    assert not secrecy.exposed(planted.secrets, bodies)
    user = planted.lab.workshop.pki.account.user  # who is no secret, and is said: all of these do tell something
    assert user.encode() in bodies["/api/v1/logs?limit=1000&tunnel=mschap"]
    assert all(_BAD.encode() in bodies[path] for path in ("/api/v1/status", "/api/v1/activity?limit=1000", "/metrics"))


async def test_no_verb_shows_one(planted):
    shown = {
        words: (await verb(planted.lab, *words.split(), environment=planted.environment)).encode()
        for words in ("status", "explain hello", "logs", f"activity {_BAD}", f"check {planted.gateway.config}")
    }
    assert all(shown.values())
    assert not secrecy.exposed(planted.secrets, shown)


async def test_no_file_has_one(planted):
    gateway, *children = secrecy.family(planted.gateway.pid)
    private = [Path(f"/proc/{pid}/root/run") for pid in children if _mounts(pid) != _mounts(gateway)]
    written = secrecy.of_files(planted.directory, *_EVERYWHERE, *private, since=planted.since, without=planted.kept)
    assert any(path.endswith("book.sqlite3") for path in written)
    assert not secrecy.exposed(planted.secrets, written)


def _mounts(pid):
    """Which file system a process sees."""
    return Path(f"/proc/{pid}/ns/mnt").readlink()


async def test_there_are_no_core_files(planted):
    for pid in secrecy.family(planted.gateway.pid):
        assert secrecy.limits(pid, "Max core file size") == ("0", "0")
