"""What an example of the configuration names and does not bring along: files and variables, made up by their names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.config.pki import STATIC_KEY, identity

PRIVATE, PUBLIC = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "Qp3jD0jxLoJFbIMGbbJ8vUF3PzSkdQ7rkJhc3PxTnDA="

_CA, _CLIENT = identity("ca", authority=True), identity("client", signed_by="ca", authority=False)
_OVPN = f"client\ndev tun\nproto udp\nremote 198.51.100.7 1194\nauth-user-pass\n<ca>\n{_CA.pem}</ca>\n"
_WG = f"""[Interface]
Address = 10.10.30.3/32
[Peer]
PublicKey = {PUBLIC}
Endpoint = 198.51.100.9:51820
AllowedIPs = 192.168.100.0/24
"""
_FILES: dict[str, bytes] = {
    "ca.crt": _CA.pem.encode(),
    "ca.pem": _CA.pem.encode(),
    "client.crt": _CLIENT.pem.encode(),
    "client.pem": _CLIENT.pem.encode(),
    "client.key": _CLIENT.key.encode(),
    "client.p12": _CLIENT.pkcs12("hunter2", _CA),
    "ta.key": STATIC_KEY.encode(),
    "tc.key": STATIC_KEY.encode(),
    "wg.key": PRIVATE.encode(),
    "psk.key": PRIVATE.encode(),
    "client.ovpn": _OVPN.encode(),
    "wg0.conf": _WG.encode(),
}


def settle(example: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `example` in `directory`, with all that it names. Raises KeyError for a file that nobody knows."""
    text = example.read_text()
    written = "\n".join(line.partition("#")[0] for line in text.splitlines())
    for path in re.findall(r'(?:file|profile) *= *"([^"]+)"', written):
        place = directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(_FILES[place.name])
        place.chmod(0o600)
    for name in re.findall(r'env = "(\w+)"', written):
        monkeypatch.setenv(name, PRIVATE if name.startswith("WG_") else "hunter2")
    copy = directory / example.name
    copy.write_text(text)
    return copy
