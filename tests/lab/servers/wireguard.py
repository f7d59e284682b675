"""A WireGuard server at a site, with the gateway as its only peer.

WireGuard has no server: it is a peer that waits to be spoken to. Nor does it give addresses: both sides were told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.lab.pki import CLIENT
from tests.lab.topology import CORP_NETWORK, Site
from tests.lab.vpn import Workshop
from tests.lab.wireguard_go import WireGuardGo

POOL = 200  # the number of its pool of addresses
PORT = 51820
_DEVICE = "wg0"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireGuardAccess:
    """What the other peer needs. `profile` is a file with all of it, as wg-quick reads it.

    `preshared_key` is the file of a secret that both have beside their keys; None for none.
    """

    host: str
    port: int
    private_key: Path
    peer_public_key: str
    address: str  # with the length of its prefix
    allowed_ips: tuple[str, ...]
    keepalive: int  # seconds
    profile: Path
    preshared_key: Path | None = None


class WireGuardServer:
    """A `server.Server`. It says something every `keepalive` seconds: its peer's only sign of life without traffic."""

    def __init__(self, workshop: Workshop, site: Site, *, keepalive: int = 5, preshared: bool = False) -> None:
        self._workshop = workshop
        self._site = site
        self._space = workshop.spaces[site.role]
        self._wireguard = WireGuardGo(workshop, f"wireguard-server-{site}", site.role, _DEVICE)
        self.name = self._wireguard.name
        self.pool = site.pool(POOL)
        self.access = WireGuardAccess(
            host=site.far,
            port=PORT,
            private_key=workshop.pki.wireguard(CLIENT).private,
            peer_public_key=workshop.pki.wireguard(site.role).public,
            address=f"{self.pool}.2/32",
            allowed_ips=(CORP_NETWORK, f"{self.pool}.0/24"),
            keepalive=keepalive,
            profile=workshop.directory.conf / f"{self.name}.conf",
            preshared_key=workshop.pki.preshared if preshared else None,
        )

    def start(self) -> None:
        self.access.profile.touch(mode=0o600)
        self.access.profile.write_text(self._profile())
        self._wireguard.start()

    def wait_ready(self) -> None:
        self._wireguard.wait_ready()
        pki = self._workshop.pki
        self._wireguard.set(
            *("listen-port", str(PORT), "private-key", str(pki.wireguard(self._site.role).private)),
            *("peer", pki.wireguard(CLIENT).public, "allowed-ips", self.access.address),
            *("persistent-keepalive", str(self.access.keepalive)),
            *(() if self.access.preshared_key is None else ("preshared-key", str(self.access.preshared_key))),
        )
        self._space.ip(f"addr replace {self.pool}.1/24 dev {_DEVICE}", f"link set {_DEVICE} up")

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_ready()

    def stop(self) -> None:
        self._wireguard.stop()

    def _profile(self) -> str:
        access = self.access
        shared = access.preshared_key
        return "\n".join(
            [
                "[Interface]",
                f"PrivateKey = {access.private_key.read_text().strip()}",
                f"Address = {access.address}",
                "",
                "[Peer]",
                f"PublicKey = {access.peer_public_key}",
                *([] if shared is None else [f"PresharedKey = {shared.read_text().strip()}"]),
                f"Endpoint = {access.host}:{access.port}",
                f"AllowedIPs = {', '.join(access.allowed_ips)}",
                f"PersistentKeepalive = {access.keepalive}",
                "",
            ]
        )
