"""Which reader answers, and what is said when that changes."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from gateway.control.netlink import RouteQuestion
from gateway.control.reader import Answering, Reader, ReaderThread
from gateway.errors import KernelUnavailableError
from gateway.model import LinkFacts


class Kernel:
    """Both readers: which of them work is what a test sets."""

    def __init__(self) -> None:
        self.netlink_opens = self.netlink_answers = self.ioctl_opens = True
        self.open = 0

    def open_netlink(self) -> Reader:
        if not self.netlink_opens:
            raise KernelUnavailableError("no netlink")
        return FakeReader(self, "netlink")

    def open_ioctl(self) -> Reader:
        if not self.ioctl_opens:
            raise OSError(24, "too many open files")
        return FakeReader(self, "ioctl")


class FakeReader:
    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.name = name
        kernel.open += 1

    def links(self, interfaces: Iterable[str]) -> dict[str, LinkFacts]:
        raise NotImplementedError

    def unrouted(self, questions: Sequence[RouteQuestion]) -> set[RouteQuestion]:
        raise NotImplementedError

    def close(self) -> None:
        self.kernel.open -= 1


def who(reader: Reader) -> str:
    """The question: which reader is asked, and from which thread."""
    assert isinstance(reader, FakeReader)
    if reader.name == "netlink" and not reader.kernel.netlink_answers:
        raise OSError(105, "no buffer space")
    assert threading.current_thread().name.startswith("kernel")
    return reader.name


@asynccontextmanager
async def asking(kernel: Kernel) -> AsyncIterator[ReaderThread]:
    thread = ReaderThread(kernel.open_netlink, kernel.open_ioctl)
    try:
        yield thread
    finally:
        await thread.close()
    assert kernel.open == 0


async def test_netlink_answers_where_it_can():
    kernel = Kernel()
    with capture_logs() as logs:
        async with asking(kernel) as thread:
            assert [await thread.ask(who) for _ in range(3)] == ["netlink"] * 3
            assert thread.answering is Answering.NETLINK
            assert kernel.open == 1
    assert logs == []


async def test_the_ioctls_answer_where_netlink_cannot_be_opened_and_it_is_said_once():
    kernel = Kernel()
    kernel.netlink_opens = False
    with capture_logs() as logs:
        async with asking(kernel) as thread:
            assert [await thread.ask(who) for _ in range(3)] == ["ioctl"] * 3
            assert thread.answering is Answering.IOCTL
            kernel.netlink_opens = True
            assert await thread.ask(who) == "netlink"
    assert [(entry["event"], entry.get("instead")) for entry in logs] == [
        ("netlink.unavailable", "ioctl"),
        ("netlink.reopened", None),
    ]


async def test_a_netlink_reader_that_goes_on_failing_is_given_up():
    kernel = Kernel()
    async with asking(kernel) as thread:
        assert await thread.ask(who) == "netlink"
        kernel.netlink_answers = False
        assert await thread.ask(who) == "ioctl"
        assert kernel.open == 0, "the failed one is closed"


async def test_nobody_answers():
    kernel = Kernel()
    kernel.netlink_opens = kernel.ioctl_opens = False
    with capture_logs() as logs:
        async with asking(kernel) as thread:
            for _ in range(2):
                with pytest.raises(KernelUnavailableError, match="too many open files"):
                    await thread.ask(who)
            assert thread.answering is Answering.NOBODY
            kernel.netlink_opens = True
            assert await thread.ask(who) == "netlink"
    assert [entry["event"] for entry in logs] == ["netlink.unavailable", "netlink.reopened"]


async def test_a_bug_in_a_question_is_not_hidden():
    async with asking(Kernel()) as thread:
        with pytest.raises(NotImplementedError):
            await thread.ask(lambda reader: reader.links(()))
