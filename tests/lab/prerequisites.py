"""What a machine needs to host a lab, and what it lacks. The packages are those of tests/requirements-debian.txt."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.lab.commands import ENVIRONMENT
from tests.lab.errors import MissingError

PACKAGES = {  # what is run or, where a path is given, has to be there; and the Debian package it comes from
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "openssl": "openssl",
    "openvpn": "openvpn",
    "tcpdump": "tcpdump",
    "wg": "wireguard-tools",
    "wireguard-go": "wireguard-go",
    "/usr/sbin/ipsec": "strongswan-starter",
    "/usr/lib/ipsec/charon": "strongswan-charon",
    "/usr/lib/ipsec/plugins/libstrongswan-vici.so": "strongswan-swanctl",
    "/usr/lib/ipsec/plugins/libstrongswan-gcm.so": "libstrongswan-standard-plugins",
    "/usr/lib/ipsec/plugins/libstrongswan-eap-mschapv2.so": "libcharon-extauth-plugins",
    "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so": "libcharon-extra-plugins",
}


def missing() -> list[str]:
    """Everything that a lab would lack here, in words; empty when one can be had."""
    lacking = [] if os.geteuid() == 0 else ["to be root"]
    packages = {package for what, package in PACKAGES.items() if not _there(what)}
    lacking += [f"the Debian package {package}" for package in sorted(packages)]
    if not Path("/dev/net/tun").exists():
        lacking.append("the device /dev/net/tun")
    return lacking


def require() -> None:
    """Raises MissingError when something is lacking."""
    if lacking := missing():
        raise MissingError(lacking)


def _there(what: str) -> bool:
    return Path(what).exists() if what.startswith("/") else shutil.which(what, path=ENVIRONMENT["PATH"]) is not None
