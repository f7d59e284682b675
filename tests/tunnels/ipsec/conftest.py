"""Tools in the cloud of a lab, where the tests' own event loop then is."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator

import pytest

from gateway.errors import LinkError
from gateway.tunnels.tools import Link, Tools
from tests.lab.commands import run
from tests.lab.errors import CommandError
from tests.lab.lab import Lab
from tests.tunnels.ipsec.support import inside


class _IpLinks:
    """What a client needs of the kernel's devices, by the command `ip`."""

    async def find(self, name: str) -> Link | None:
        found = [each for each in json.loads(_ip("-j link")) if each["ifname"] == name]
        return Link(index=found[0]["ifindex"], name=name, kind="tun", mtu=found[0]["mtu"], up=True) if found else None

    async def make(self, name: str, kind: str, *, if_id: int | None = None) -> None:
        try:
            _ip(f"link add {name} type {kind} if_id {if_id}")
        except CommandError as error:
            raise LinkError(error.output, errno.EOPNOTSUPP) from error

    async def rename(self, index: int, name: str) -> None:
        (found,) = [each["ifname"] for each in json.loads(_ip("-j link")) if each["ifindex"] == index]
        _ip(f"link set {found} name {name}")

    async def configure(self, name: str, *, addresses=(), mtu: int | None = None) -> None:
        for address in addresses:
            _ip(f"address replace {address} dev {name}")
        if mtu is not None:
            _ip(f"link set {name} mtu {mtu}")


def _ip(words: str) -> str:
    return run(["ip", *words.split()])


@pytest.fixture
def tools(empty_lab: Lab, tmp_path) -> Iterator[Tools]:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    with inside(empty_lab.cloud):
        yield Tools(links=_IpLinks(), roads=None, runtime=runtime)
