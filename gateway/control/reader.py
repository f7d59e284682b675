"""The one thread that may block on the kernel, and what it does when netlink stops answering.

A netlink reader that fails is closed and opened anew, once; then the ioctls answer, which know less. Each later
question tries netlink again first, so that the way back needs no one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import Final, Protocol, TypeVar

import structlog

from gateway.control.netlink import RouteQuestion
from gateway.control.polling import IoctlReader
from gateway.errors import KernelUnavailableError
from gateway.model import LinkFacts

log = structlog.get_logger()

_T = TypeVar("_T")
_TRIES: Final = 2


class Reader(Protocol):
    """Whoever answers questions about the kernel. Used, and closed, by one thread."""

    def links(self, interfaces: Iterable[str]) -> dict[str, LinkFacts]:
        """The devices there are among `interfaces`, by name."""

    def unrouted(self, questions: Sequence[RouteQuestion]) -> set[RouteQuestion]:
        """The questions that are answered by "no route"."""

    def close(self) -> None:
        """Give back what it owns."""


class Answering(Enum):
    """Who answered the last question."""

    NETLINK = "netlink"
    IOCTL = "ioctl"
    NOBODY = "nobody"


class ReaderThread:
    """Asks the kernel in a thread of its own. The methods are for the event loop's thread; `close` it."""

    def __init__(self, open_reader: Callable[[], Reader], open_fallback: Callable[[], Reader] = IoctlReader) -> None:
        """Readers are opened in the worker thread.

        `open_reader` raises KernelUnavailableError where netlink cannot be had, `open_fallback` OSError.
        """
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernel")
        self._open_reader = open_reader
        self._open_fallback = open_fallback
        self._reader: Reader | None = None  # touched by the worker thread only
        self._answering = Answering.NETLINK

    @property
    def answering(self) -> Answering:
        """Who answered the last question."""
        return self._answering

    async def ask(self, question: Callable[[Reader], _T]) -> _T:
        """What `question` returns when called with a reader, in the worker thread.

        Raises KernelUnavailableError when nobody can answer (no descriptors left, say); this is logged already.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._answer, question)

    async def close(self) -> None:
        """Close the reader and end the thread, after the question under way."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._forget)
        finally:
            self._executor.shutdown(wait=False)

    # ------------------------------------------------------------ in the worker thread

    def _answer(self, question: Callable[[Reader], _T]) -> _T:
        failure: Exception | None = None
        for _ in range(_TRIES):
            try:
                answer = question(self._opened())
            except (OSError, KernelUnavailableError) as error:
                failure = error
                self._forget()
            else:
                if failure is not None or self._answering is not Answering.NETLINK:
                    self._answering = Answering.NETLINK
                    log.info("netlink.reopened", part="reader", error=str(failure) if failure else None)
                return answer
        return self._answer_without_netlink(question, failure)

    def _answer_without_netlink(self, question: Callable[[Reader], _T], failure: Exception | None) -> _T:
        try:
            reader = self._open_fallback()
            try:
                answer = question(reader)
            finally:
                reader.close()
        except OSError as error:
            self._unavailable(Answering.NOBODY, error)
            raise KernelUnavailableError(f"the kernel cannot be asked about devices: {error}") from error
        self._unavailable(Answering.IOCTL, failure)
        return answer

    def _unavailable(self, instead: Answering, error: Exception | None) -> None:
        if self._answering is not instead:
            self._answering = instead
            log.warning("netlink.unavailable", part="reader", error=str(error), instead=instead.value)

    def _opened(self) -> Reader:
        if self._reader is None:
            self._reader = self._open_reader()
        return self._reader

    def _forget(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
