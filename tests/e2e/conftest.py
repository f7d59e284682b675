"""What the tests of real clients share: one gateway for all, and servers that start when a test first needs them.

The gateway stands for the whole run, with a forward to each server's port, whether the server is there yet or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.loopback import Forwarding, LoopbackGateway
from tests.e2e.ports import ReservedPorts
from tests.e2e.servers.iperf3 import iperf3 as iperf3_server
from tests.e2e.servers.nginx import Nginx
from tests.e2e.servers.nginx import nginx as nginx_server
from tests.e2e.servers.postgresql import postgresql as postgresql_server
from tests.e2e.servers.redis import Redis
from tests.e2e.servers.redis import redis as redis_server
from tests.e2e.servers.slapd import slapd as slapd_server


@pytest.fixture(scope="session")
def targets() -> Iterator[ReservedPorts]:
    """The port of each server."""
    with ReservedPorts("http", "postgresql", "redis", "ldap", "iperf3") as ports:
        yield ports


@pytest.fixture(scope="session")
def loopback(targets: ReservedPorts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackGateway]:
    """The gateway, with a forward to each server, and two more for silence.

    `quiet` has its keepalives a second apart, `impatient` ends a session after a second without a byte.
    """
    forwards = {
        **{name: Forwarding(targets[name]) for name in ("http", "postgresql", "redis", "ldap", "iperf3")},
        "quiet": Forwarding(
            targets["postgresql"], 'keepalive_idle = "1s"\nkeepalive_interval = "1s"\nkeepalive_count = 1'
        ),
        "impatient": Forwarding(targets["postgresql"], 'idle_timeout = "1s"'),
    }
    with LoopbackGateway(tmp_path_factory.mktemp("gateway"), forwards) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def nginx(targets: ReservedPorts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    directory: Path = tmp_path_factory.mktemp("nginx")
    with nginx_server(directory, targets["http"]) as running:
        yield running


@pytest.fixture(scope="module")
def redis(targets: ReservedPorts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_server(tmp_path_factory.mktemp("redis"), targets["redis"]) as running:
        yield running


@pytest.fixture(scope="module")
def postgresql(targets: ReservedPorts) -> Iterator[int]:
    with postgresql_server(targets["postgresql"]) as port:
        yield port


@pytest.fixture(scope="module")
def slapd(targets: ReservedPorts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with slapd_server(tmp_path_factory.mktemp("slapd"), targets["ldap"]) as port:
        yield port


@pytest.fixture(scope="module")
def iperf3(targets: ReservedPorts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with iperf3_server(tmp_path_factory.mktemp("iperf3"), targets["iperf3"]) as port:
        yield port
