"""Logs: one set-up for structlog and for the standard library's logging, one line an event, to standard error.

Standard output belongs to the verbs, so the log goes to standard error: coloured text on a terminal, otherwise JSON,
one object a line. What libraries log (aiohttp, asyncio, pyroute2, warnings) takes the same way and looks the same.
structlog does not go through the standard library here: half the cost of a line is saved.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.observe.choices import LogFormat, LogLevel
from gateway.observe.events import Event
from gateway.observe.masking import mask_secrets
from gateway.observe.writer import LineWriter

__all__ = ["STDERR", "LogFormat", "LogLevel", "configure"]

STDERR: Final = 2

_DUMPING: Final = ("pyroute2",)
"""Libraries whose debug level is every message to and from the kernel: WireGuard's private key is in one."""

_to_json: Final = json.JSONEncoder(default=str, separators=(",", ":")).encode


def configure(
    *,
    environment: str,
    format: LogFormat = LogFormat.AUTO,  # noqa: A002 -- the word of the command line
    level: LogLevel = LogLevel.INFO,
    descriptor: int = STDERR,
) -> LineWriter:
    """Send every log line of this process to `descriptor`, marked with `environment`.

    Logging never blocks: see `writer`. What still waits when the interpreter ends is written under a deadline; the
    returned writer, which stays owned by this module, says how many lines were dropped. Configuring again
    replaces what was configured, and closes its writer.
    """
    chain = _chain(environment, format, descriptor)

    def notice(count: int) -> str:
        event: EventDict = {"event": Event.LOG_DROPPED, "lines": count}
        for processor in chain:
            event = processor(None, "warning", event)  # type: ignore[assignment]
        return str(event)

    writer = LineWriter(descriptor, notice=notice)
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(_number(level)),
        logger_factory=lambda *_: _LineLogger(writer.write),
        # Module-level loggers must follow a second `configure`; who logs often binds once instead.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(writer, chain, level)
    return writer


def _route_standard_library(writer: LineWriter, chain: list[Processor], level: LogLevel) -> None:
    handler = _LineHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *chain],
        )
    )
    root = logging.getLogger()
    for former in [each for each in root.handlers if isinstance(each, _LineHandler)]:
        root.removeHandler(former)
        former.close()
    root.addHandler(handler)
    root.setLevel(_number(level))
    for name in _DUMPING:
        logging.getLogger(name).setLevel(max(_number(level), logging.INFO))
    logging.captureWarnings(capture=True)


def _number(level: LogLevel) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _chain(environment: str, log_format: LogFormat, descriptor: int) -> list[Processor]:
    """The processors that every event passes; the last one makes the text."""
    terminal = os.isatty(descriptor)
    if log_format is LogFormat.AUTO:
        log_format = LogFormat.CONSOLE if terminal else LogFormat.JSON
    head = _Head(environment)
    if log_format is LogFormat.CONSOLE:
        console = structlog.dev.ConsoleRenderer(
            colors=terminal and "NO_COLOR" not in os.environ,
            # rich's tracebacks print local variables, secrets among them
            exception_formatter=structlog.dev.plain_traceback,
        )
        return [head, mask_secrets, console]
    return [head, mask_secrets, structlog.processors.format_exc_info, _render_json]


class _Head:
    """A processor that puts what every line has in front: timestamp (UTC, milliseconds), level, event, environment."""

    def __init__(self, environment: str) -> None:
        self._environment = environment

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {
            "timestamp": now.replace("+00:00", "Z"),
            "level": "error" if method == "exception" else method,
            "event": event.pop("event", ""),
            "environment": self._environment,
            **event,
        }


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _to_json(event)


class _LineLogger:
    """What structlog calls with a finished line, under whatever level's name."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.exception = self.log = write


class _LineHandler(logging.Handler):
    """The standard library's way to the writer; owns it, and closes it when logging shuts down at exit."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 -- logging's contract: a library's bad message does not fail the library
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
        """Say which message could not be formatted; the inherited method would print, and block."""
        structlog.get_logger().error(
            Event.LOG_UNFORMATTABLE, logger=record.name, message=str(record.msg), exc_info=True
        )

    def close(self) -> None:
        self._writer.close()
        super().close()
