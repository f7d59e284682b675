"""What a WireGuard device is told and tells, whoever makes it: the kernel, or wireguard-go.

It has one peer, the server, which is a new one for every connection: its counters begin at nothing, and no key of an
earlier connection is used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.errors import GatewayError
from gateway.model import FailureReason, IPAddress, IPNetwork, Secret


class DeviceError(GatewayError):
    """The device cannot be had, or does not do what it is told; `reason` is the operator's."""

    def __init__(self, reason: FailureReason, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class Address(NamedTuple):
    """Where the peer is: an IP address and a UDP port."""

    ip: IPAddress
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == 6 else f"{self.ip}:{self.port}"  # noqa: PLR2004


@dataclass(frozen=True, slots=True, kw_only=True)
class Peering:
    """One connection: our key, and the one peer. Keys are base64; `keepalive` in seconds, 0 for none.

    On a device that is up, a `keepalive` has it shake hands at once: there is something to be sent.
    """

    private_key: Secret
    public_key: str
    address: Address
    preshared_key: Secret | None = None
    allowed_ips: tuple[IPNetwork, ...] = ()
    keepalive: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The peer as the device sees it. `handshake`: Unix time of the last one, 0 for none yet; counters in bytes.

    They count what is on the wire and was authenticated: data, handshakes, keepalives.
    """

    handshake: float = 0.0
    transmitted: int = 0
    received: int = 0


class Device(Protocol):
    """A device by its name. Everything raises DeviceError, LinkError or ProgramMissingError."""

    async def open(self) -> None:
        """Have the device, which may not be up yet. What an earlier life of ours has left is taken away first."""

    async def begin(self, peering: Peering) -> None:
        """Have this peer, as if never met before, and no other."""

    async def move(self, public_key: str, address: Address) -> None:
        """The peer is at another address."""

    async def keep_alive(self, public_key: str, seconds: int) -> None:
        """Say something to the peer every so often; 0: only when there is something to be said."""

    async def read(self) -> Reading:
        """The peer as it is now."""

    async def forget(self) -> None:
        """Have no peer any more."""

    async def ended(self) -> str:
        """Wait until what makes the device has ended; how it did."""

    async def close(self) -> None:
        """Take the device away, and all that belongs to it. Idempotent."""
