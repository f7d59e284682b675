"""One charon: started, ready to take orders, and stopped; whatever happens, nothing of it is left behind.

It takes 20 ms to be ready and as long to end, so each connection has one of its own: nothing of an earlier connection
lives on in it. In order, it takes leave of the server; its tun device ends with it, however it ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError, LinkError
from gateway.model import Failure, FailureReason
from gateway.tunnels.children import Child, child
from gateway.tunnels.ipsec import pid_file, rules, speech
from gateway.tunnels.ipsec.orders import Orders
from gateway.tunnels.ipsec.settings import Settings

PROGRAM: Final = "charon"

_START: Final = 5.0  # seconds; it takes 0.02
_OTHERS: Final = 5.0  # seconds for the start of another charon of a gateway, which holds the pid file meanwhile
_PAUSE: Final = 0.02
_LEAVE: Final = (
    1.5  # seconds to end in; it takes 0.05, and hangs now and then if it is cut off in the middle of an order
)
_UNREAD: Final = 64  # its exit status when it cannot begin, for want of its configuration


class CharonError(GatewayError):
    """charon does not run; `failure` says why. None: its own lines do."""

    def __init__(self, text: str, failure: Failure | None = None) -> None:
        self.failure = failure
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Charon:
    """A daemon that takes `orders`. `device` is its tun device; None where the kernel does ESP."""

    process: Child
    orders: Orders
    device: str | None


@asynccontextmanager
async def charon(settings: Settings, on_line: Callable[[str], None]) -> AsyncIterator[Charon]:
    """Run a charon for as long as the block lasts. The files beside its socket are its own.

    `on_line` gets each line that it says. Raises CharonError, ProgramMissingError, LinkError, OrdersLostError.
    """
    configuration = settings.socket.with_suffix(".conf")
    try:
        configuration.write_text(settings.text())
    except OSError as error:
        raise CharonError(f"{configuration} cannot be written: {os.strerror(error.errno or 0)}") from error
    try:
        async with _started(configuration, on_line) as (process, device), Orders(settings.socket) as orders:
            await rules.remove()
            yield Charon(process, orders, device)
    finally:
        with suppress(LinkError):  # nothing is left where nothing was permitted
            await rules.remove()  # killed, or ended before it was ready
        settings.socket.unlink(missing_ok=True)
        configuration.unlink(missing_ok=True)


@asynccontextmanager
async def _started(configuration: Path, on_line: Callable[[str], None]) -> AsyncIterator[tuple[Child, str | None]]:
    """A charon that has come up, and its device; tried again while others that come up hold the pid file."""
    loop = asyncio.get_running_loop()
    environment = {"STRONGSWAN_CONF": str(configuration)}
    deadline = loop.time() + _OTHERS
    while True:
        await _way_is_free(deadline)
        birth = _Birth(on_line)
        async with child([PROGRAM], on_line=birth.hear, env=environment, grace=_LEAVE) as process:
            if await birth.seen(process):
                _release(process.pid)
                yield process, birth.device
                return
        if not birth.held or loop.time() > deadline:
            raise _stillborn(process.returncode or 0, configuration)


def _stillborn(status: int, configuration: Path) -> CharonError:
    if status < 0:
        text = f"charon was ended by {signal.Signals(-status).name} before it took orders"
        return CharonError(text, Failure(reason=FailureReason.CLIENT_DIED, detail=text))
    failure = _unread(configuration) if status == _UNREAD else None
    return CharonError(f"charon ended with status {status} before it took orders", failure)


def _unread(configuration: Path) -> Failure:
    text = (
        f"charon cannot read {configuration}: where AppArmor confines it, "
        "/etc/apparmor.d/local/usr.lib.ipsec.charon has to allow what is in that directory"
    )
    return Failure(reason=FailureReason.NOT_PERMITTED, detail=text)


class _Birth:
    """Hears from charon's lines how it comes up."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._ready = asyncio.Event()
        self.device: str | None = None
        self.held = False
        """It gave way to another charon's pid file."""

    def hear(self, line: str) -> None:
        text = speech.heard(line).text
        if speech.READY.match(text):
            self._ready.set()
        elif found := speech.DEVICE.match(text):
            self.device = found[1]
        elif speech.HELD.match(text):
            self.held = True
        self._on_line(line)

    async def seen(self, process: Child) -> bool:
        """Whether it is ready; False when it has ended instead. Raises CharonError when it takes too long."""
        try:
            async with asyncio.timeout(_START), asyncio.TaskGroup() as group:
                waiting = [group.create_task(self._ready.wait()), group.create_task(process.wait())]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for each in waiting:
                    each.cancel()
        except TimeoutError:
            raise CharonError(f"charon takes no orders {_START:g} s after its start") from None
        return self._ready.is_set()


async def _way_is_free(deadline: float) -> None:
    """Wait while another charon, which is about to be ready, holds the pid file. Raises CharonError."""
    while (holder := _holder()) is not None:
        if asyncio.get_running_loop().time() > deadline:
            text = f"another charon (process {holder}) holds {pid_file.PATH}: end it, or give the gateway its own /run"
            raise CharonError(text, Failure(reason=FailureReason.CONFIGURATION, detail=text))
        await asyncio.sleep(_PAUSE)


def _holder() -> int | None:
    try:
        return pid_file.holder(pid_file.PATH)
    except OSError as error:
        raise _not_permitted(error) from error


def _release(pid: int) -> None:
    try:
        pid_file.release(pid_file.PATH, pid)
    except OSError as error:
        raise _not_permitted(error) from error


def _not_permitted(error: OSError) -> CharonError:
    text = f"charon's pid file {pid_file.PATH} cannot be taken away: {os.strerror(error.errno or 0)}"
    return CharonError(text, Failure(reason=FailureReason.NOT_PERMITTED, detail=text))
