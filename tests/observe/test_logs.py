"""Every line, whoever logs it, in one form and on one descriptor."""

import json
import logging
import os
import re
import time
import warnings
from ipaddress import IPv4Address

import pytest
import structlog

from gateway.model import Health
from gateway.observe.logs import LogFormat, LogLevel


def test_json_has_one_object_a_line_with_the_fixed_keys_in_front(pipe, configure):
    configure(environment="production")
    structlog.get_logger().info("tunnel.transition", tunnel="zone-a", new=Health.UP, address=IPv4Address("10.0.0.1"))
    line = pipe.read_line()
    event = json.loads(line)
    assert list(event) == ["timestamp", "level", "event", "environment", "tunnel", "new", "address"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("timestamp"))
    assert event == {
        "level": "info",
        "event": "tunnel.transition",
        "environment": "production",
        "tunnel": "zone-a",
        "new": "up",
        "address": "10.0.0.1",
    }


def test_a_line_feed_in_a_value_makes_no_second_line(pipe, configure):
    configure()
    structlog.get_logger().info("a.b", text="one\ntwo")
    assert pipe.read_event()["text"] == "one\ntwo"


def test_secrets_are_masked_for_everybody(pipe, configure):
    configure()
    structlog.get_logger().info("driver.started", password="hunter2", options={"private_key": "k"})
    line = pipe.read_line()
    assert "hunter2" not in line
    assert json.loads(line)["options"] == {"private_key": "***"}


def test_libraries_take_the_same_way(pipe, configure):
    configure()
    logging.getLogger("aiohttp.server").warning("slow %s", "client")
    event = pipe.read_event()
    assert event.pop("timestamp")
    assert event == {"level": "warning", "event": "slow client", "environment": "test", "logger": "aiohttp.server"}


@pytest.mark.parametrize("level", LogLevel)
def test_messages_to_and_from_the_kernel_are_never_logged(pipe, configure, level):
    """WireGuard's private key is in one of them."""
    configure(level=level)
    dumping = logging.getLogger("pyroute2.netlink.core")
    dumping.debug("message {'WGDEVICE_A_PRIVATE_KEY': 'k'}")
    dumping.info("told")
    dumping.critical("the last")
    first = pipe.read_event()["event"]
    assert first == ("told" if level in (LogLevel.DEBUG, LogLevel.INFO) else "the last")


def test_python_warnings_take_the_same_way(pipe, configure):
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)  # catch_warnings has put the plain printer back
        warnings.warn("beware", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    event = pipe.read_event()
    assert event["logger"] == "py.warnings"
    assert "UserWarning: beware" in str(event["event"])


@pytest.mark.parametrize("log", [structlog.get_logger(), logging.getLogger("library")])
def test_an_exception_is_text_in_the_same_line(pipe, configure, log):
    configure()
    try:
        raise ValueError("broken")  # noqa: TRY301 -- something to log
    except ValueError:
        log.exception("pump.failed")
    event = pipe.read_event()
    assert event["level"] == "error"
    assert event["event"] == "pump.failed"
    assert str(event["exception"]).endswith("ValueError: broken")


@pytest.mark.parametrize(("level", "expected"), [("debug", "dwe"), ("info", "we"), ("warning", "we"), ("error", "e")])
def test_level_filters_ours_and_the_libraries(pipe, configure, level, expected):
    writer = configure(level=LogLevel(level))
    for log in (structlog.get_logger(), logging.getLogger("library")):
        log.debug("d")
        log.warning("w")
        log.error("e")
    writer.close()
    assert "".join(str(json.loads(line)["event"]) for line in pipe.read_all()) == expected * 2


def test_a_librarys_unformattable_message_is_reported_and_raises_nothing(pipe, configure):
    configure()
    logging.getLogger("library").error("%d", "not a number")
    event = pipe.read_event()
    assert event["event"] == "log.unformattable"
    assert event["logger"] == "library"
    assert "TypeError" in str(event["exception"])


def test_dropped_lines_are_told_of_as_an_event(pipe, configure):
    writer = configure()
    log = structlog.get_logger()
    for _ in range(6000):
        log.info("a.b", text="x" * 1000)
    while (event := pipe.read_event())["event"] == "a.b":
        pass
    assert event["level"] == "warning"
    assert event["event"] == "log.dropped"
    assert event["environment"] == "test"
    assert event["lines"] == writer.dropped > 0


def test_a_stalled_reader_does_not_stall_whoever_logs(pipe, configure):
    configure()
    log = structlog.get_logger()
    before = time.monotonic()
    for _ in range(2000):
        log.info("a.b", text="x" * 1000)
        logging.getLogger("library").warning("y" * 1000)
    assert time.monotonic() - before < 5, "logging waited for a reader that never reads"
    assert pipe.read_event()["event"] == "a.b"


def test_console_where_a_terminal_reads(configure, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    leader, follower = os.openpty()
    try:
        writer = configure(descriptor=follower, format=LogFormat.AUTO)
        structlog.get_logger().info("a.b", tunnel="zone-a")
        writer.close()
        text = os.read(leader, 4096).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert "\x1b[" in text
    assert "a.b" in text
    assert not text.startswith("{")


def test_console_elsewhere_has_no_colour(pipe, configure):
    configure(format=LogFormat.CONSOLE)
    structlog.get_logger().info("a.b", tunnel="zone-a")
    assert re.fullmatch(r"\S+Z \[info +\] a\.b +environment=test tunnel=zone-a", pipe.read_line())


def test_console_tracebacks_show_no_local_variables(pipe, configure):
    writer = configure(format=LogFormat.CONSOLE)

    def fail(password: str) -> None:
        raise ValueError("broken")

    try:
        fail("hunter2")
    except ValueError:
        structlog.get_logger().exception("a.b")
    writer.close()
    text = "\n".join(pipe.read_all())
    assert "ValueError: broken" in text
    assert "hunter2" not in text.replace('fail("hunter2")', "")


def test_configuring_again_replaces_and_closes(pipe, configure):
    first = configure(environment="one")
    configure(environment="two")
    first.write("too late")
    assert first.dropped == 1
    logging.getLogger("library").warning("once")
    structlog.get_logger().info("a.b")
    assert [pipe.read_event()["environment"] for _ in range(2)] == ["two", "two"]
    assert pipe.read_all() == []
