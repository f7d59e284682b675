"""May echo requests be sent? Asked of the kernel, in a namespace and as a user for whom the answer is known."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import icmp

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65_534
ASK = """
import os, sys
from pathlib import Path
from gateway.config.icmp import icmp_possible
Path("/proc/sys/net/ipv4/ping_group_range").write_text(sys.argv[1])
user = int(sys.argv[2])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)  # with root go the capabilities
print(icmp_possible())
"""


@pytest.mark.parametrize(
    ("groups", "user", "possible"),
    [("1 0", NOBODY, False), (f"{NOBODY} {NOBODY}", NOBODY, True), ("1 0", 0, True)],
    ids=["neither", "ping socket", "raw socket"],
)
def test_either_of_two_permissions_is_enough(groups, user, possible):
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", ASK, groups, str(user)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        cwd=REPOSITORY,
    )
    assert done.stdout.strip() == str(possible)


def refusing(number: int) -> type[socket.socket]:
    class Refused(socket.socket):
        def __init__(self, *_: object) -> None:
            raise OSError(number, os.strerror(number))

    return Refused


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT])
def test_a_refusal_is_an_answer(monkeypatch, number):
    monkeypatch.setattr(socket, "socket", refusing(number))
    assert icmp.icmp_possible() is False


def test_a_lack_of_descriptors_is_none(monkeypatch):
    monkeypatch.setattr(socket, "socket", refusing(errno.EMFILE))
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        icmp.icmp_possible()
