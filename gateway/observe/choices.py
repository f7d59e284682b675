"""What an operator chooses of the log. Apart from `logs`: a command line offers it without loading structlog."""

from __future__ import annotations

from enum import StrEnum


class LogFormat(StrEnum):
    """How a line looks. AUTO: console where a terminal reads, JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
