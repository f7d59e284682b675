from __future__ import annotations

import pytest

from gateway.model import LineLevel
from gateway.tunnels.wireguard import speech

STAMP = "(zone-d) 2024/01/31 12:00:00"
PEER = "peer(HIgo…8ykw)"


@pytest.mark.parametrize(
    ("line", "level", "text"),
    [
        ("DEBUG: {} Starting wireguard-go version 0.0.20220316", "info", "Starting wireguard-go version 0.0.20220316"),
        ("DEBUG: {} UAPI listener started", "debug", speech.READY),
        ("DEBUG: {} UDP bind has been updated", "debug", "UDP bind has been updated"),
        (
            "DEBUG: {} Interface state was Down, requested Up, now Up",
            "info",
            "Interface state was Down, requested Up, now Up",
        ),
        ("DEBUG: {} PEER - Sending handshake initiation", "debug", "Sending handshake initiation"),
        ("DEBUG: {} PEER - Received handshake response", "info", "Received handshake response"),
        ("DEBUG: {} PEER - Receiving keepalive packet", None, "Receiving keepalive packet"),
        ("DEBUG: {} PEER - Routine: sequential receiver - started", None, "Routine: sequential receiver - started"),
        ("DEBUG: {} PEER - UAPI: Updating endpoint", None, "UAPI: Updating endpoint"),
        (
            "DEBUG: {} PEER - Handshake did not complete after 5 seconds, retrying (try 2)",
            "warning",
            "Handshake did not complete after 5 seconds, retrying (try 2)",
        ),
        (
            "ERROR: {} PEER - Failed to send handshake initiation: no known endpoint for peer",
            "error",
            "Failed to send handshake initiation: no known endpoint for peer",
        ),
        (
            "DEBUG: {} IPv4 packet with disallowed source address from PEER",
            "warning",
            "IPv4 packet with disallowed source address from PEER",
        ),
        ("panic: runtime error: index out of range", "error", "panic: runtime error: index out of range"),
        ("", None, ""),
    ],
)
def test_lines_as_they_come(line, level, text):
    said = speech.heard(line.format(STAMP).replace("PEER", PEER))
    assert (said.level, said.text) == (None if level is None else LineLevel(level), text.replace("PEER", PEER))


def test_a_handshake_that_is_tried():
    assert speech.heard(f"DEBUG: {STAMP} {PEER} - Sending handshake initiation").initiates
    assert not speech.heard(f"DEBUG: {STAMP} {PEER} - Sending handshake response").initiates


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "Failed to send handshake initiation: write udp4 0.0.0.0:37203->10.91.1.2:51820: sendto: network is down",
            "network is down",
        ),
        ("Failed to send data packet: no known endpoint for peer", "no known endpoint for peer"),
        ("Failed to derive keypair: x", None),
    ],
)
def test_what_the_kernel_did_not_take(text, why):
    assert speech.heard(f"ERROR: {STAMP} {PEER} - {text}").not_sent == why
