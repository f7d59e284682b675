"""A real conversation with this kernel, with the one family that every kernel has: the list of the others."""

from __future__ import annotations

import asyncio
import errno

import pytest
from pyroute2.netlink import CTRL_CMD_GETFAMILY, ctrlmsg

from gateway.tunnels.wireguard.netlink import Family

CONTROL = "nlctrl"


def _question(*attributes: tuple[str, str]) -> bytes:
    message = ctrlmsg()
    message["cmd"] = CTRL_CMD_GETFAMILY
    message["version"] = 1
    message["attrs"] = list(attributes)
    message.encode()
    return bytes(message.data[16:])


def _names(answers: list[bytes]) -> list[str]:
    found = []
    for answer in answers:
        message = ctrlmsg(answer)
        message.decode()
        found.append(message.get_attr("CTRL_ATTR_FAMILY_NAME"))
    return found


def test_all_answers_to_a_question():
    with Family(CONTROL) as kernel:
        first = _names(kernel.dump(_question()))
        assert CONTROL in first
        assert len(first) > 1
        assert _names(kernel.dump(_question())) == first


def test_an_order_ends_when_the_kernel_says_so_and_raises_what_it_refuses():
    with Family(CONTROL) as kernel:
        kernel.order(_question(("CTRL_ATTR_FAMILY_NAME", CONTROL)))
        with pytest.raises(OSError, match="ENOENT") as caught:
            kernel.order(_question(("CTRL_ATTR_FAMILY_NAME", "no such one")))
        assert caught.value.errno == errno.ENOENT
        kernel.order(_question(("CTRL_ATTR_FAMILY_NAME", CONTROL)))


def test_a_family_that_this_kernel_lacks():
    with pytest.raises(OSError, match="ENOENT"):
        Family("no such one")


async def test_a_thread_beside_a_loop_of_uvloop_can_speak():
    def names() -> list[str]:
        with Family(CONTROL) as kernel:
            return _names(kernel.dump(_question()))

    assert CONTROL in await asyncio.to_thread(names)
