"""Redis clients through the gateway: values, pipelines, a subscriber that waits, and redis-benchmark."""

from __future__ import annotations

import csv

import pytest

from tests.e2e.loopback import LoopbackGateway
from tests.e2e.programs import run, running


def redis_cli(loopback: LoopbackGateway, *arguments: object, text: str = "") -> str:
    return run("redis-cli", "-p", loopback.port("redis"), *arguments, text=text)


def test_what_is_set_is_read_back(loopback, redis):
    with loopback.counting("redis") as counted:
        assert redis_cli(loopback, "SET", "greeting", "hello") == "OK\n"
        assert redis_cli(loopback, "GET", "greeting") == "hello\n"
    assert counted.results == {"ok": 2}
    assert counted.closed == {"eof": 2}
    assert counted.to_client == len("+OK\r\n") + len("$5\r\nhello\r\n")


def test_a_large_value_survives_both_ways(loopback, redis):
    value = "0123456789abcdef" * (1 << 19)  # 8 MiB
    with loopback.counting("redis") as counted:
        assert redis_cli(loopback, "-x", "SET", "large", text=value) == "OK\n"
        assert redis_cli(loopback, "GET", "large") == value + "\n"
    assert counted.results == {"ok": 2}
    assert counted.to_target > len(value)
    assert counted.to_client > len(value)


def test_a_pipeline_is_answered_command_by_command(loopback, redis):
    commands = "".join(f"SET key:{number} {number}\r\n" for number in range(20_000))
    with loopback.counting("redis") as counted:
        said = redis_cli(loopback, "--pipe", text=commands)
    assert "errors: 0, replies: 20000" in said
    assert redis_cli(loopback, "GET", "key:19999") == "19999\n"
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}
    assert counted.to_target > len(commands)


def test_a_subscriber_that_waits_hears_what_is_published(loopback, redis):
    with (
        loopback.counting("redis") as counted,
        running("redis-cli", "-p", loopback.port("redis"), "SUBSCRIBE", "news") as subscriber,
    ):
        assert [subscriber.stdout.readline() for _ in range(3)] == ["subscribe\n", "news\n", "1\n"]
        for number in range(3):
            assert redis_cli(loopback, "PUBLISH", "news", f"item {number}") == "1\n"
            assert [subscriber.stdout.readline() for _ in range(3)] == ["message\n", "news\n", f"item {number}\n"]
    assert counted.results == {"ok": 4}
    assert counted.closed == {"eof": 4}


@pytest.mark.parametrize("pipeline", [1, 32])
def test_redis_benchmark_keeps_its_connections(loopback, redis, pipeline):
    requests, value = 20_000, 1024
    with loopback.counting("redis") as counted:
        said = redis_benchmark(loopback, "-n", requests, "-c", 50, "-P", pipeline, "-d", value, "-t", "set,get")
    assert {test: float(rate) > 0 for test, rate in said.items()} == {"SET": True, "GET": True}
    # 50 clients for each of two tests, and one connection to ask for the server's configuration.
    assert counted.results == {"ok": 101}
    assert sum(counted.closed.values()) == 101
    assert counted.to_target > requests * value
    assert counted.to_client > requests * value


def test_redis_benchmark_connects_for_each_request(loopback, redis):
    before = redis.accepted()
    with loopback.counting("redis") as counted:
        redis_benchmark(loopback, "-n", 5000, "-c", 50, "-k", 0, "-t", "get")
    assert set(counted.results) == {"ok"}
    assert counted.results["ok"] >= 5000
    assert redis.accepted() - before - 1 == counted.results["ok"]


def redis_benchmark(loopback: LoopbackGateway, *arguments: object) -> dict[str, str]:
    """Run redis-benchmark: requests a second by test."""
    said = run("redis-benchmark", "-p", loopback.port("redis"), "--csv", *arguments)
    return {row["test"]: row["rps"] for row in csv.DictReader(said.splitlines())}
