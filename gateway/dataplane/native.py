"""The two system calls that Python makes dearly or not at all, through ctypes.

PyDLL keeps the GIL: neither call blocks, and both are shorter than handing it over. No argument types are declared,
since converting by them costs more than the calls.
"""

from __future__ import annotations

import ctypes
from termios import FIONREAD
from typing import Final

_libc: Final = ctypes.PyDLL(None)
_connect: Final = _libc.connect
_ioctl: Final = _libc.ioctl
_AF_UNSPEC: Final = bytes(16)  # a zeroed struct sockaddr: sa_family AF_UNSPEC
_number: Final = ctypes.c_int()
_to_number: Final = ctypes.byref(_number)


def disconnect(fd: int) -> bool:
    """Dissolve the association of a TCP socket (connect(2) with AF_UNSPEC; RST if it was open); whether that worked."""
    return bool(_connect(fd, _AF_UNSPEC, 16) == 0)


def unread(fd: int) -> int:
    """How many received bytes nobody has read yet (tcp(7), SIOCINQ), also once the connection is reset."""
    return _number.value if _ioctl(fd, FIONREAD, _to_number) == 0 else 0
