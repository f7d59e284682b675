"""Taking the place of the control socket, in a directory of the test's own."""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.admin import claim as module
from gateway.admin.claim import Claim, claim
from gateway.errors import ListenError


@contextmanager
def claimed(place: Path) -> Iterator[Claim]:
    taken = claim(place)
    try:
        yield taken
    finally:
        taken.listening.close()
        taken.release()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def left_behind(place: Path) -> None:
    """The socket of a gateway that was killed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))


def refused(place: Path) -> str:
    with pytest.raises(ListenError) as caught:
        claim(place)
    [(where, _, why)] = caught.value.failures
    assert where == "[admin] socket"
    return why


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_only_the_owner_may_connect_whatever_the_umask(place, mask):
    with umask(mask), claimed(place):
        assert mode(place) == 0o600


def test_it_is_private_before_it_listens(place, monkeypatch):
    """From the moment at which the file exists: looked at right after bind, before anything else is done."""
    seen = []

    class Watched(socket.socket):
        def bind(self, address):
            super().bind(address)
            seen.append(mode(Path(address)))

        def listen(self, *_backlog):
            seen.append(mode(place))
            super().listen(*_backlog)

    monkeypatch.setattr(module.socket, "socket", Watched)
    with umask(0), claimed(place):
        assert seen == [0o600, 0o600]


def test_it_listens(place):
    with claimed(place), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))


def test_the_directory_is_made_for_its_owner_alone(tmp_path):
    place = tmp_path / "gateway" / "control.sock"
    with umask(0), claimed(place):
        assert mode(place.parent) == 0o700


def test_a_dead_gateways_socket_is_replaced(place):
    left_behind(place)
    before = os.lstat(place).st_ino
    with claimed(place) as taken, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
        assert taken.inode[1] == os.lstat(place).st_ino
        assert mode(place) == 0o600
    assert before  # the number of the old one may be used again: that it answers is what counts


def test_a_living_gateways_is_left_alone(place):
    with claimed(place) as taken:
        assert refused(place) == "a running gateway answers there"
        assert os.lstat(place).st_ino == taken.inode[1]


def test_one_that_is_too_busy_to_accept_lives(place):
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(place))
        busy.listen(0)
        waiting.connect(str(place))  # fills the queue
        assert refused(place) == "a running gateway answers there"


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_left_alone(place, kind):
    match kind:
        case "file":
            place.write_text("precious")
        case "directory":
            place.mkdir()
        case "link":
            place.symlink_to("/nowhere")
    assert refused(place) == "something else than a socket is there"
    assert os.path.lexists(place)


def test_a_directory_that_cannot_be_made_is_said(tmp_path):
    assert refused(tmp_path / "not" / "there" / "control.sock") == "No such file or directory"


def test_a_path_that_is_too_long_is_said(tmp_path):
    assert "too long" in refused(tmp_path / ("x" * 120))
    assert list(tmp_path.iterdir()) == []


def test_two_that_start_together_do_not_both_replace(place):
    left_behind(place)
    directory = os.open(place.parent, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # the other one is between its look and its listen
        assert refused(place) == "another gateway is starting there just now"
    finally:
        os.close(directory)
    with claimed(place):
        pass


def test_a_listen_that_fails_leaves_nothing_behind(place, monkeypatch):
    class Broken(socket.socket):
        def listen(self, *_backlog):
            raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(module.socket, "socket", Broken)
    assert refused(place) == "Cannot allocate memory"
    assert not place.exists()


def test_released_it_is_gone(place):
    with claimed(place):
        assert place.is_socket()
    assert not place.exists()


def test_released_it_leaves_alone_what_is_not_ours(place):
    with claimed(place):
        place.rename(place.with_name("kept"))  # so that its number is not used again
        left_behind(place)
    assert place.is_socket()


def test_released_when_somebody_removed_it(place):
    with claimed(place):
        place.unlink()
