"""The pool of pipes: one borrower at a time, bounded, and never a byte of somebody else's."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator

import pytest

from gateway.dataplane.pipes import PIPE_BYTES, PipePool
from tests.dataplane.rig import open_descriptors


@pytest.fixture(autouse=True)
def _nothing_stays_open() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() == before


@pytest.fixture
def pool() -> Iterator[PipePool]:
    made = PipePool(capacity=3)
    yield made
    made.close()


def test_a_borrowed_pipe_is_empty_large_and_ones_own(pool: PipePool) -> None:
    first, second = pool.borrow(), pool.borrow()
    assert first is not None
    assert second is not None
    assert first is not second
    assert fcntl.fcntl(first.write_fd, fcntl.F_GETPIPE_SZ) == PIPE_BYTES
    assert first.held == 0
    with pytest.raises(BlockingIOError):
        os.read(first.read_fd, 1)
    pool.give_back(first)
    pool.give_back(second)


def test_no_more_than_the_capacity(pool: PipePool) -> None:
    pipes = [pool.borrow() for _ in range(4)]
    assert pipes[3] is None
    assert pool.total == 3
    for pipe in pipes[:3]:
        assert pipe is not None
        pool.give_back(pipe)
    assert pool.borrow() is pipes[2]
    assert pool.total == 3
    assert pipes[2] is not None
    pool.give_back(pipes[2])


def test_a_pipe_given_back_twice_is_a_bug_that_shows(pool: PipePool) -> None:
    """Regression: it had two borrowers then, and their data was mixed."""
    pipe = pool.borrow()
    assert pipe is not None
    pool.give_back(pipe)
    with pytest.raises(AssertionError):
        pool.give_back(pipe)
    assert pool.borrow() is pipe
    other = pool.borrow()
    assert other is not None
    assert other is not pipe
    pool.give_back(other)
    pool.give_back(pipe)


def test_a_pipe_that_holds_bytes_is_closed_and_makes_room(pool: PipePool) -> None:
    pipe = pool.borrow()
    assert pipe is not None
    pipe.held = os.write(pipe.write_fd, b"a secret of an ended session")
    pool.give_back(pipe)
    assert pool.total == 0
    for other in [pool.borrow() for _ in range(3)]:
        assert other is not None
        with pytest.raises(BlockingIOError):
            os.read(other.read_fd, 1)
        pool.give_back(other)


def test_after_closing_nothing_is_lent_and_what_comes_back_is_closed(pool: PipePool) -> None:
    lent = pool.borrow()
    assert lent is not None
    pool.close()
    assert pool.borrow() is None
    pool.give_back(lent)
    assert pool.total == 0


def test_a_moment_without_descriptors_is_no_reason_never_to_splice_again(
    pool: PipePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pipe(flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe2", no_pipe)
        assert pool.borrow() is None
    pipe = pool.borrow()
    assert pipe is not None
    pool.give_back(pipe)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOMEM, errno.EBUSY])
def test_a_pipe_that_cannot_grow_is_used_as_it_is_and_no_more_are_made(
    pool: PipePool, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """EPERM: over fs.pipe-user-pages-soft. What more pipes would hold is not ours to take."""

    def refuse(*_: int) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    pipe = pool.borrow()
    assert pipe is not None
    assert pool.borrow() is None
    pool.give_back(pipe)
    assert pool.borrow() is pipe
    pool.give_back(pipe)
