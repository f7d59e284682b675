"""What a machine needs to host a lab, and what it lacks. The packages are those of tests/requirements-debian.txt."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab.commands import ENVIRONMENT
from tests.lab.errors import MissingError

PACKAGES = {  # what is run, and the Debian package it comes from
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "openssl": "openssl",
    "openvpn": "openvpn",
    "tcpdump": "tcpdump",
}


def missing() -> list[str]:
    """Everything that a lab would lack here, in words; empty when one can be had."""
    lacking = [] if os.geteuid() == 0 else ["to be root"]
    path = ENVIRONMENT["PATH"]
    packages = {package for tool, package in PACKAGES.items() if shutil.which(tool, path=path) is None}
    lacking += [f"the Debian package {package}" for package in sorted(packages)]
    if not Path("/dev/net/tun").exists():
        lacking.append("the device /dev/net/tun")
    return lacking


def require() -> None:
    """Raises MissingError when something is lacking."""
    if lacking := missing():
        raise MissingError(lacking)
