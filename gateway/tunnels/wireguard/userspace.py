"""WireGuard in user space: one `wireguard-go` for one tun device, which ends with it, however it ends.

It takes its orders on a Unix socket below a directory that is compiled in, and named like the device. Devices of one
name in different network namespaces meet there, so nothing is said to a process that is not ours: it would learn the
private key. The key goes this way only; neither arguments nor environment nor a file hold it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from gateway.errors import ProgramMissingError
from gateway.model import FailureReason
from gateway.tunnels.children import Child, child
from gateway.tunnels.tools import Links
from gateway.tunnels.wireguard import speech, uapi
from gateway.tunnels.wireguard.device import Address, DeviceError, Peering, Reading
from gateway.tunnels.wireguard.speech import Said

PROGRAM: Final = "wireguard-go"
DIRECTORY: Final = Path("/var/run/wireguard")

_ENVIRONMENT: Final = {"WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "verbose"}
_START: Final = 5.0  # seconds; it takes 0.02
_ANSWER: Final = 5.0  # seconds; it answers in well under a millisecond
_LONGEST: Final = 1 << 20  # bytes of an answer: 30 for each allowed network
_CREDENTIALS: Final = struct.Struct("@iII")  # ucred: pid, uid, gid

_NO_DEVICE: Final = re.compile(r"Failed to create TUN device: .*/dev/net/tun does not exist")
_NO_RIGHT: Final = re.compile(r"Failed to create TUN device: (operation not permitted|permission denied)")
_BUSY: Final = re.compile(r"Failed to create TUN device: (device or resource busy|invalid argument)")
_NO_PLACE: Final = re.compile(r"UAPI listen error: .*(permission denied|operation not permitted|read-only file system)")
_TAKEN: Final = re.compile(r"UAPI listen error: unix socket in use")


class WireguardGo:
    """A `device.Device`. `hear` gets what the process says, on the event loop's thread."""

    def __init__(self, name: str, links: Links, hear: Callable[[Said], None]) -> None:
        self._name = name
        self._links = links
        self._hear = hear
        self._socket = DIRECTORY / f"{name}.sock"
        self._life: AsyncExitStack | None = None
        self._process: Child | None = None
        self._hangs = False  # it has not answered

    async def open(self) -> None:
        """Start it, unless it runs. One that did not answer, or whose device was renamed, is ended first.

        Its device must not be there: it would join one that somebody else has made.
        """
        runs = self._process is not None and self._process.returncode is None
        if runs and not self._hangs and await self._links.find(self._name) is not None:
            return
        await self.close()
        if (found := await self._links.find(self._name)) is not None:
            kind = found.kind or "physical"
            raise DeviceError(
                FailureReason.CONFIGURATION,
                f"a device called {self._name} exists and is a {kind} device that the gateway has not made: "
                "delete it, or give the tunnel another interface",
            )
        birth = _Birth(self._hear)
        async with AsyncExitStack() as life:
            life.callback(_remove_deaf, self._socket)  # however early it was killed
            try:
                process = await life.enter_async_context(
                    child([PROGRAM, "-f", self._name], on_line=birth.hear, env=_ENVIRONMENT)
                )
            except ProgramMissingError as error:
                text = f"this kernel has no WireGuard, and {error}"
                raise DeviceError(FailureReason.PROGRAM_MISSING, text) from error
            await birth.seen(process)
            self._process = process
            self._life = life.pop_all()

    async def begin(self, peering: Peering) -> None:
        """See `device.Device`."""
        await self._ask(uapi.begin(peering))

    async def move(self, public_key: str, address: Address) -> None:
        """See `device.Device`."""
        await self._ask(uapi.move(public_key, address))

    async def keep_alive(self, public_key: str, seconds: int) -> None:
        """See `device.Device`."""
        await self._ask(uapi.keep_alive(public_key, seconds))

    async def read(self) -> Reading:
        """See `device.Device`."""
        return await self._ask(uapi.GET)

    async def forget(self) -> None:
        """See `device.Device`."""
        await self._ask(uapi.FORGET)

    async def ended(self) -> str:
        """See `device.Device`."""
        assert self._process is not None  # noqa: S101 - of an open device
        return f"{PROGRAM} {_ending(await self._process.wait())}"

    async def close(self) -> None:
        """End it. A socket that it left, being killed, is removed unless somebody else listens there by now."""
        life, self._life = self._life, None
        if life is None:
            return
        try:
            await life.aclose()
        finally:
            self._process = None
            self._hangs = False

    # ---------------------------------------------------------------- its socket

    async def _ask(self, operation: str) -> Reading:
        """What comes of one operation. Raises DeviceError."""
        try:
            async with asyncio.timeout(_ANSWER):
                return uapi.reading(await self._exchange(operation))
        except TimeoutError:
            self._hangs = True
            raise DeviceError(FailureReason.CLIENT_DIED, f"{PROGRAM} has not answered for {_ANSWER:g} s") from None
        except uapi.OrderRefusedError as error:
            text = f"{PROGRAM} does not take what it is told: {error}"
            raise DeviceError(FailureReason.CONFIGURATION, text) from error
        except (OSError, EOFError, ValueError) as error:
            text = f"{PROGRAM} cannot be spoken to at {self._socket}: {error}"
            raise DeviceError(FailureReason.CLIENT_DIED, text) from error

    async def _exchange(self, operation: str) -> str:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=_LONGEST)
        try:
            self._check(writer.get_extra_info("socket"))
            writer.write(operation.encode())
            return (await reader.readuntil(uapi.END)).decode()
        finally:
            writer.close()

    def _check(self, connected: socket.socket) -> None:
        """Raise DeviceError unless it is ours that listens: SO_PEERCRED names who did when it began to (unix(7))."""
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid = _CREDENTIALS.unpack(credentials)[0]
        ours = self._process
        if ours is None or ours.returncode is not None or pid != ours.pid:
            raise _taken(self._name)


class _Birth:
    """Hears from what it says how it comes up."""

    def __init__(self, hear: Callable[[Said], None]) -> None:
        self._pass_on = hear
        self._ready = asyncio.Event()
        self._error = ""

    def hear(self, line: str) -> None:
        """One line of its log."""
        said = speech.heard(line)
        if said.text == speech.READY:
            self._ready.set()
        elif said.failed and not self._ready.is_set():
            self._error = said.text
        self._pass_on(said)

    async def seen(self, process: Child) -> None:
        """Return when it takes orders. Raises DeviceError when it has ended instead, or takes too long."""
        try:
            async with asyncio.timeout(_START), asyncio.TaskGroup() as group:
                waiting = [group.create_task(self._ready.wait()), group.create_task(process.wait())]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for each in waiting:
                    each.cancel()
        except TimeoutError:
            text = f"{PROGRAM} takes no orders {_START:g} s after its start"
            raise DeviceError(FailureReason.OTHER, text) from None
        if not self._ready.is_set():
            status = process.returncode or 0
            if status < 0:
                text = f"{PROGRAM} {_ending(status)} before it took orders"
                raise DeviceError(FailureReason.CLIENT_DIED, text)
            raise refusal(process.name, self._error or _ending(status))


def refusal(program: str, text: str) -> DeviceError:
    """Why it did not start, from the last of its errors. Pure."""
    if _NO_DEVICE.match(text):
        return DeviceError(
            FailureReason.NOT_PERMITTED, "there is no /dev/net/tun: give it to the container as a device"
        )
    if _NO_RIGHT.match(text):
        why = "making a tun device needs CAP_NET_ADMIN, and /dev/net/tun to be readable and writable"
        return DeviceError(FailureReason.NOT_PERMITTED, f"{program}: {text}: {why}")
    if _BUSY.match(text):
        return DeviceError(FailureReason.CONFIGURATION, f"{program}: {text}: another program has a device of this name")
    if _NO_PLACE.match(text):
        why = f"the user with the id {os.geteuid()} must be able to write to {DIRECTORY}, where its socket has to be"
        return DeviceError(FailureReason.NOT_PERMITTED, f"{program}: {text}: {why}")
    if _TAKEN.match(text):
        return _taken("of this name")
    return DeviceError(FailureReason.OTHER, f"{program} does not start: {text}")


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _taken(name: str) -> DeviceError:
    return DeviceError(
        FailureReason.CONFIGURATION,
        f"another WireGuard process has the socket of a device {name} below {DIRECTORY}, for a network namespace "
        "of its own perhaps: give the tunnel another interface",
    )


def _remove_deaf(path: Path) -> None:
    """Remove a socket that nobody listens on."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as asking:  # it is not there, or not ours to touch
        asking.settimeout(0)  # whoever listens there may not accept for long
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
