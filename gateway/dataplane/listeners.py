"""All listeners of one engine: opened, shut and closed as the difference between two routing tables.

A forward with `when_down = "refuse"` has its listener shut while the table has no tunnel for it. To open it again can
fail only if somebody else listens there by then: that is said once, and tried every second, while it is wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, Protocol

import structlog

from gateway.dataplane import listener as single
from gateway.dataplane.ledger import Ledger
from gateway.dataplane.listener import Listener, bind_all
from gateway.model import NO_CHOICE, ForwardSpec, ListenAddress, PortMap, RoutingTable, WhenDown

log = structlog.get_logger()

_RETRY_SECONDS: Final = 1.0


class Host(single.Host, Protocol):
    """What the listeners need of the engine."""

    def watch_listener(self, listener: Listener) -> None:
        """See to it that the clients of an open listener are accepted."""

    def forget_listener(self, listener: Listener) -> None:
        """No more of that: the listener is about to be shut or closed."""


class Listeners:
    """The listeners by their addresses, which it owns. `values` and `get` as of a dict."""

    def __init__(self, *, host: Host, ledger: Ledger, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._ledger = ledger
        self._loop = loop
        self._by_address: dict[ListenAddress, Listener] = {}
        self._failed: set[Listener] = set()  # shut, against our will
        self._draining = False
        self._retry_timer: asyncio.TimerHandle | None = None

    def values(self) -> Collection[Listener]:
        """Every listener, open or shut."""
        return self._by_address.values()

    def get(self, listen: ListenAddress) -> Listener | None:
        """The listener of an address, open or shut."""
        return self._by_address.get(listen)

    def apply(self, table: RoutingTable) -> None:
        """Bind what is new, or raise ListenError and change nothing. Close what is gone; open or shut what stays."""
        wanted = {ports.listen: (forward, ports) for forward in table.forwards for ports in forward.ports}
        shut = {listen for listen, (forward, ports) in wanted.items() if _refuses(table, forward, ports)}
        new = () if self._draining else wanted.keys() - self._by_address.keys()
        bound = bind_all({listen: wanted[listen][0] for listen in new}, shut=shut)
        for listen in self._by_address.keys() - wanted.keys():
            self._close(self._by_address.pop(listen))
        for forward in table.forwards:
            entry = self._ledger.forward(forward)
            for ports in forward.ports:
                listener = self._by_address.get(ports.listen)
                if listener is not None:
                    listener.serve(entry, ports)
                elif ports.listen in bound:
                    is_open = ports.listen not in shut
                    listener = Listener(self._host, bound[ports.listen], entry, ports, is_open=is_open)
                    self._by_address[ports.listen] = listener
                    if is_open:
                        self._host.watch_listener(listener)
        if not self._draining:
            self._failed = {listener for listener in self._failed if listener.ports.listen not in shut}
            for listen, listener in self._by_address.items():
                if listener.is_open is (listen in shut):
                    self._turn(listener)

    def drain(self) -> None:
        """Close all, and open none any more. They still have plans, for the sessions that came by them."""
        self._draining = True
        for listener in self._by_address.values():
            self._close(listener)
        if self._retry_timer is not None:
            self._retry_timer.cancel()

    # ------------------------------------------------------------ parts

    def _turn(self, listener: Listener) -> None:
        """Open what is shut, shut what is open."""
        if listener.is_open:
            self._host.forget_listener(listener)
            listener.shut()
        else:
            self._open(listener)

    def _open(self, listener: Listener) -> None:
        try:
            listener.open()
        except OSError as error:
            if listener not in self._failed:
                self._failed.add(listener)
                log.error(  # noqa: TRY400 - the text says it all
                    "listener.failed",
                    forward=listener.forward.spec.name,
                    listen=str(listener.ports.listen),
                    error=error.strerror or str(error),
                )
            if self._retry_timer is None:
                self._retry_timer = self._loop.call_later(_RETRY_SECONDS, self._retry)
            return
        if listener in self._failed:
            self._failed.remove(listener)
            log.info("listener.opened", forward=listener.forward.spec.name, listen=str(listener.ports.listen))
        self._host.watch_listener(listener)

    def _retry(self) -> None:
        self._retry_timer = None
        for listener in list(self._failed):
            self._open(listener)

    def _close(self, listener: Listener) -> None:
        self._failed.discard(listener)
        if listener.is_open:
            self._host.forget_listener(listener)
        listener.close()


def _refuses(table: RoutingTable, forward: ForwardSpec, ports: PortMap) -> bool:
    """Whether clients of `ports` are to be refused: nobody would serve them."""
    return (
        forward.when_down is WhenDown.REFUSE and not table.choices.get((forward.name, ports.target), NO_CHOICE).tunnels
    )
