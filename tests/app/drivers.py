"""Drivers on paper: they do what they are told, at once, and remember it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from time import monotonic

from gateway.model import (
    DriverState,
    DriverStatus,
    Endpoint,
    Failure,
    FailureReason,
    LineLevel,
    TunnelKind,
    TunnelSpec,
    VpnLine,
)
from gateway.tunnels.catalogue import driver_for
from gateway.tunnels.driver import Driver, Reports
from gateway.tunnels.tools import Tools

SERVER = Endpoint("198.51.100.7", 1194)


class FakeDriver:
    """`stubborn`: it does not end before it is cancelled so many times. `prompt`: an attempt succeeds at once."""

    def __init__(self, spec: TunnelSpec, reports: Reports, *, prompt: bool = True, stubborn: int = 1) -> None:
        self.tunnel = spec.name
        self.interface = spec.interface
        self.status = DriverStatus(tunnel=spec.name, state=DriverState.STOPPED, since=monotonic())
        self.asked: list[str] = []
        self.complained = asyncio.Event()
        self._reports = reports
        self._prompt = prompt
        self._stubborn = stubborn
        self._autoconnect = spec.autoconnect

    def connect(self) -> None:
        self.asked.append("connect")
        if self.status.state is DriverState.CONNECTED:
            return
        self.becomes(DriverState.CONNECTING, server=SERVER, failure=None)
        if self._prompt:
            self.up()

    def disconnect(self) -> None:
        self.asked.append("disconnect")
        self.becomes(DriverState.STOPPED, server=None)

    def reconnect(self, why: str) -> None:
        self.asked.append(f"reconnect: {why}")
        self.complained.set()

    async def run(self) -> None:
        if self._autoconnect:
            self.connect()
        while self._stubborn:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self._stubborn -= 1
        self.becomes(DriverState.STOPPED)
        raise asyncio.CancelledError

    def up(self) -> None:
        self.becomes(DriverState.CONNECTED, addresses=(ip_address("10.8.0.2"),), failure=None)

    def fails(self, detail: str) -> None:
        failure = Failure(reason=FailureReason.UNREACHABLE, detail=detail, server=SERVER)
        self.becomes(DriverState.RECONNECTING, failure=failure)

    def says(self, text: str) -> None:
        self._reports.line(
            VpnLine(at_unix=1.0, tunnel=self.tunnel, level=LineLevel.INFO, component="openvpn", text=text)
        )

    def becomes(self, state: DriverState, **changes: object) -> None:
        self.status = replace(self.status, state=state, since=monotonic(), **changes)  # type: ignore[arg-type]
        self._reports.status(self.status)


class Workshop:
    """Makes fakes of all tunnels that have a VPN client; `made` by name."""

    def __init__(self, make: Callable[[TunnelSpec, Reports], FakeDriver] = FakeDriver) -> None:
        self.made: dict[str, FakeDriver] = {}
        self._make = make

    def __call__(self, spec: TunnelSpec, *, tools: Tools | None, reports: Reports | None) -> Driver:  # noqa: ARG002
        if spec.kind is TunnelKind.INTERFACE:
            return driver_for(spec)
        assert reports is not None
        return self.made.setdefault(spec.name, self._make(spec, reports))
