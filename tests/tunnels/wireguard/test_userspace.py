"""What wireguard-go says where it cannot start. What it does once it has started is in the tests of the client."""

from __future__ import annotations

import os

import pytest

from gateway.model import FailureReason
from gateway.tunnels.wireguard.userspace import refusal


@pytest.mark.parametrize(
    ("said", "reason", "text"),
    [
        (
            'Failed to create TUN device: CreateTUN("zone-d") failed; /dev/net/tun does not exist',
            FailureReason.NOT_PERMITTED,
            "there is no /dev/net/tun",
        ),
        ("Failed to create TUN device: operation not permitted", FailureReason.NOT_PERMITTED, "CAP_NET_ADMIN"),
        ("Failed to create TUN device: permission denied", FailureReason.NOT_PERMITTED, "/dev/net/tun to be readable"),
        ("Failed to create TUN device: device or resource busy", FailureReason.CONFIGURATION, "a device of this name"),
        (
            "UAPI listen error: mkdir /var/run/wireguard: read-only file system",
            FailureReason.NOT_PERMITTED,
            f"the user with the id {os.geteuid()} must be able to write to /var/run/wireguard",
        ),
        (
            "UAPI listen error: listen unix /var/run/wireguard/zone-d.sock: bind: permission denied",
            FailureReason.NOT_PERMITTED,
            "must be able to write to /var/run/wireguard",
        ),
        ("UAPI listen error: unix socket in use", FailureReason.CONFIGURATION, "another WireGuard process"),
        ("ended with status 2", FailureReason.OTHER, "wireguard-go does not start: ended with status 2"),
    ],
)
def test_why_it_does_not_start(said, reason, text):
    found = refusal("wireguard-go", said)
    assert found.reason is reason
    assert text in str(found)
