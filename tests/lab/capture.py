"""What really left the cloud: tcpdump on the physical links, which are the ones that a leak would use.

One tcpdump listens on all of them. A capture that shows nothing proves something only if it would have shown what there
was: before it ends, a packet of our own on the loopback device has to appear in it, the *fence*.
"""

from __future__ import annotations

import signal
import socket
from types import TracebackType
from typing import Self

from tests.lab.errors import LabError
from tests.lab.netns import Namespace
from tests.lab.processes import ProcessBook
from tests.lab.topology import CORP_NETWORK, PHYSICAL_LINKS
from tests.lab.waiting import wait_until

TO_CORP = f"net {CORP_NETWORK}"
_START = 5.0  # seconds
_END = 5.0
_LOOPBACK = 1  # the kernel's index of `lo` in every namespace
_FENCE = ("127.0.0.9", 9)


class Capture:
    """The packets that `expression` (pcap-filter language) selects on `links`, while the context lasts."""

    def __init__(self, space: Namespace, processes: ProcessBook, expression: str, links: tuple[str, ...]) -> None:
        self._space = space
        self._processes = processes
        self._name = f"capture-{len([each for each in processes.names() if each.startswith('capture-')])}"
        self._expression = expression
        self._links = links
        self._packets: tuple[str, ...] | None = None

    @property
    def packets(self) -> tuple[str, ...]:
        """One line a packet, as tcpdump writes it. Raises LabError while the capture runs."""
        if self._packets is None:
            raise LabError("the capture has not ended")
        return self._packets

    def __enter__(self) -> Self:
        indices = " or ".join(f"ifindex {self._index(link)}" for link in self._links)
        fence = f"ifindex {_LOOPBACK} and udp and dst host {_FENCE[0]} and dst port {_FENCE[1]}"
        command = ["tcpdump", "-Z", "root", "--immediate-mode", "-l", "-n", "-i", "any"]
        self._processes.spawn(
            self._name, [*command, f"(({indices}) and ({self._expression})) or ({fence})"], self._space
        )
        self._wait_for("listening on any", _START)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._space.open_socket(kind=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"fence", _FENCE)
        self._wait_for(f"> {_FENCE[0]}.{_FENCE[1]}:", _END)
        self._processes.signal(self._name, signal.SIGINT)
        self._processes.wait(self._name, _END)
        lines = self._processes.log(self._name).splitlines()
        dropped = [line for line in lines if line.endswith("dropped by kernel")]
        if dropped != ["0 packets dropped by kernel"]:
            raise LabError(f"a capture with gaps proves nothing: {dropped}")
        self._packets = tuple(line for line in lines if any(f" {link} " in line for link in self._links))

    def _index(self, link: str) -> int:
        found = self._space.link(link)
        if found is None:
            raise LabError(f"no device is called {link}")
        return found.index

    def _wait_for(self, text: str, within: float) -> None:
        wait_until(
            lambda: text in self._processes.log(self._name),
            within=within,
            what=f"tcpdump says {text!r}",
            detail=lambda: self._processes.log(self._name),
        )


def on_physical_links(space: Namespace, processes: ProcessBook, expression: str = TO_CORP) -> Capture:
    """A capture on every physical link of the cloud; by default of all that is meant for the company's network."""
    return Capture(space, processes, expression, PHYSICAL_LINKS)
