"""The process around one gateway: what it may not do, the place that its VPN clients need, how it ends."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import structlog
import uvloop

from gateway.app.gateway import Gateway
from gateway.app.runtime import runtime_directory
from gateway.app.secrecy import forbid_core_files
from gateway.dataplane.limits import raise_descriptor_limit
from gateway.errors import ListenError
from gateway.model import Config, TunnelKind
from gateway.observe.events import Event

log = structlog.get_logger()


def run(config: Config) -> int:
    """Run the gateway until it is told to stop; the process's exit code. Takes over the main thread and its signals."""
    forbid_core_files()
    with ExitStack() as stack:
        try:
            runtime = stack.enter_context(_runtime(config))
        except OSError as error:
            log.error(Event.GATEWAY_FAILED, error=f"there is no place for the sockets of VPN clients: {error}")  # noqa: TRY400
            return 1
        return uvloop.run(_run(config, runtime))


async def _run(config: Config, runtime: Path | None) -> int:
    gateway = Gateway(config, descriptors=raise_descriptor_limit(), runtime=runtime)
    try:
        return await gateway.run()
    except* ListenError as group:
        for failure in _leaves(group):
            log.error(Event.GATEWAY_FAILED, error=str(failure))  # noqa: TRY400 - the text says it all
    return 1


def _runtime(config: Config) -> AbstractContextManager[Path | None]:
    """A directory for the sockets of VPN clients, where there are any."""
    if all(spec.kind is TunnelKind.INTERFACE for spec in config.tunnels):
        return nullcontext()
    return runtime_directory(uid=os.geteuid(), env=os.environ)


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
