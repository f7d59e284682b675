"""Persistent tun devices (kernel: Documentation/networking/tuntap.rst): they outlive the client that opens them.

A client that dies leaves the device with its index and addresses, without carrier: sockets bound to it stay where they
are, and the kernel watcher hears of it at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from typing import Final

from gateway.errors import LinkError
from gateway.tunnels.netlink import refused

_DEVICE: Final = "/dev/net/tun"
_REQUEST: Final = struct.Struct("16sH22x")  # struct ifreq: name, flags
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_TUNSETIFF: Final = 0x400454CA
_TUNSETPERSIST: Final = 0x400454CB


def make_tun(name: str) -> None:
    """A persistent tun device; one that is there already is kept. Raises LinkError.

    One that somebody has open, or that is no tun, is an error that says so.
    """
    what = f"make the tun device {name}"
    try:
        fd = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _unavailable(what, error) from error
    try:
        fcntl.ioctl(fd, _TUNSETIFF, _REQUEST.pack(name.encode(), _IFF_TUN | _IFF_NO_PI))
        fcntl.ioctl(fd, _TUNSETPERSIST, 1)
    except OSError as error:
        raise _refused(what, name, error) from error
    finally:
        os.close(fd)


def _unavailable(what: str, error: OSError) -> LinkError:
    if error.errno in {errno.ENOENT, errno.ENXIO, errno.ENODEV}:
        return LinkError(f"cannot {what}: there is no {_DEVICE}; a container must be given the device", error.errno)
    if error.errno in {errno.EPERM, errno.EACCES}:
        return LinkError(f"cannot {what}: {_DEVICE} may not be opened", error.errno)
    return refused(what, error.errno or 0)


def _refused(what: str, name: str, error: OSError) -> LinkError:
    if error.errno == errno.EBUSY:
        return LinkError(f"cannot {what}: another program has it open", errno.EBUSY)
    if error.errno == errno.EINVAL and name in {known for _, known in socket.if_nameindex()}:
        return LinkError(f"cannot {what}: there is a device of that name, and it is none", errno.EINVAL)
    return refused(what, error.errno or 0)
