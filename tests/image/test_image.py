"""The image is built for real, and a page is read through the gateway started from it (`make test-image`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import managed
from tests.image.container import Container, Image, Privileges, build
from tests.lab import client
from tests.lab.corp import HTTP_PORT
from tests.lab.lab import Lab
from tests.lab.servers.ipsec import IpsecServer
from tests.lab.servers.openvpn import OpenVpnServer
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import CORP_ADDRESS, Site
from tests.lab.waiting import eventually

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(1500)]

LOOPBACK = "127.0.0.1"


@pytest.fixture(scope="session")
def image() -> Image:
    return build()


@pytest.fixture
def container(image: Image, lab: Lab) -> Iterator[Container]:
    with Container(image, lab) as made:
        yield made


def read(lab: Lab, path: str) -> client.Answer:
    """GET `path` through the forward. When this returns the connection is closed: a drain waits for nobody."""
    return asyncio.run(client.fetch(lab.cloud, path, host=LOOPBACK, port=33000))


def test_the_image_says_how_it_is_started_and_watched(image: Image) -> None:
    assert image.entrypoint == ("gateway",)
    assert image.command == ("--config", "/etc/gateway/forwards.toml")
    assert image.healthcheck == ("gateway", "healthcheck")


def test_the_user_is_unprivileged(image: Image, container: Container) -> None:
    assert image.user == "10001:10001"
    status = container.call("cat", "/proc/self/status").stdout
    assert "Uid:\t10001\t10001" in status
    assert "CapEff:\t0000000000000000" in status


@pytest.mark.parametrize("tool", ["openvpn", "swanctl", "/usr/lib/ipsec/charon", "wireguard-go", "wg", "ip"])
def test_the_vpn_clients_are_in(container: Container, tool: str) -> None:
    assert container.call("sh", "-c", 'command -v "$0"', tool).returncode == 0


@pytest.mark.parametrize("tool", ["pip", "pip3", "gcc", "cc", "make"])
def test_what_builds_is_not(container: Container, tool: str) -> None:
    assert container.call("sh", "-c", 'command -v "$0"', tool).returncode != 0


def test_no_secret_of_the_build_is_left(container: Container) -> None:
    assert container.call("ls", "/run/secrets").returncode != 0


def test_the_configuration_inside_forwards(image: Image, container: Container, lab: Lab) -> None:
    container.start()
    container.wait_healthy()
    answer = read(lab, "/healthz")
    assert answer.status == 200
    assert container.stop() == 0, container.log()
    assert container.call(*image.healthcheck).returncode == 1


def test_a_page_of_the_company_through_a_tunnel(image: Image, lab: Lab, tmp_path: Path) -> None:
    tunnel = lab.vpn(Site.A)
    configuration = tmp_path / "forwards.toml"
    configuration.write_text(f"""
        [[tunnel]]
        name      = "zone-a"
        kind      = "interface"
        interface = "{tunnel.device}"

        [[forward]]
        name   = "hello"
        listen = "{LOOPBACK}:33000"
        target = "{CORP_ADDRESS}:{HTTP_PORT}"
    """)
    with Container(image, lab, configuration=configuration) as container:
        container.start()
        container.wait_healthy()
        answer = read(lab, "/")
        assert answer.seen == tunnel.address
        assert container.stop() == 0, container.log()


async def _seen_through(lab: Lab, addresses: set[str]) -> str:
    """Who the company saw, once a page comes through one of `addresses`."""
    seen: list[str] = []

    async def there() -> bool:
        with suppress(OSError, asyncio.IncompleteReadError, ValueError):
            seen.append((await client.fetch(lab.cloud, "/", host=LOOPBACK, port=33000)).seen)
        return bool(seen) and seen[-1] in addresses

    await eventually(there, within=20.0, what="a page through the tunnel", detail=lambda: str(seen[-3:]))
    return seen[-1]


@pytest.mark.parametrize("kind", ["openvpn", "ipsec", "wireguard"])
def test_with_one_capability_it_brings_its_own_tunnel_up(
    image: Image, empty_lab: Lab, tmp_path: Path, kind: str
) -> None:
    lab = empty_lab
    server = {"openvpn": OpenVpnServer, "ipsec": IpsecServer, "wireguard": WireGuardServer}[kind](lab.workshop, Site.A)
    with lab.serving(server):
        configuration = tmp_path / "forwards.toml"
        forward = f'[[forward]]\nname = "hello"\nlisten = "{LOOPBACK}:33000"\ntarget = "{CORP_ADDRESS}:{HTTP_PORT}"'
        configuration.write_text("\n\n".join([managed.tunnel("zone-a", server.access), forward, ""]))
        made = Container(
            image,
            lab,
            configuration=configuration,
            read_only=[lab.directory.path],
            privileges=Privileges.NETWORK,
        )
        with made as container:
            container.start()
            try:
                container.wait_healthy()
                seen = asyncio.run(_seen_through(lab, {f"{server.pool}.{host}" for host in range(1, 255)}))
            except BaseException as error:
                error.add_note(container.log())
                raise
            assert seen.startswith(server.pool)
            assert "CapEff:\t0000000000001000" in container.call("cat", "/proc/self/status").stdout
            assert container.stop() == 0, container.log()
