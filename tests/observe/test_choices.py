"""The choices, as words of the command line, cost nothing to offer."""

import subprocess
import sys

from gateway.observe import logs
from gateway.observe.choices import LogFormat, LogLevel


def test_words():
    assert list(LogFormat) == ["auto", "json", "console"]
    assert list(LogLevel) == ["debug", "info", "warning", "error"]


def test_logs_offers_them_too():
    assert logs.LogFormat is LogFormat
    assert logs.LogLevel is LogLevel


def test_offering_them_loads_no_logging():
    code = "import sys, gateway.observe.choices; print(sorted({'logging', 'structlog', 'asyncio'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
