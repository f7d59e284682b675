"""The image is built for real, and a page is read through the gateway started from it (`make test-image`)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.container import Container, Image, build
from tests.lab import client
from tests.lab.corp import HTTP_PORT
from tests.lab.lab import Lab
from tests.lab.topology import CORP_ADDRESS, Site

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
