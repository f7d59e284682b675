"""HTTP clients through the gateway: what curl, wrk and socat see is what nginx sent, and is counted to the byte."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.e2e.loopback import Counted, LoopbackGateway
from tests.e2e.programs import attempt, run, running
from tests.e2e.servers.nginx import LARGE_BYTES, PAGE, Nginx, sha256


def url(loopback: LoopbackGateway, path: str) -> str:
    return f"http://127.0.0.1:{loopback.port('http')}/{path}"


def curl(*arguments: object) -> list[dict[str, float]]:
    """Run curl for files: what it measured of each transfer, in order."""
    said = run("curl", "--silent", "--show-error", "--fail", "--write-out", "%{json}\n", *arguments)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def assert_counted_exactly(counted: Counted, transfers: list[dict[str, float]]) -> None:
    assert counted.to_target == sum(each["size_request"] + each["size_upload"] for each in transfers)
    assert counted.to_client == sum(each["size_header"] + each["size_download"] for each in transfers)


def test_curl_reads_a_page(loopback, nginx, tmp_path):
    with loopback.counting("http") as counted:
        transfers = curl(url(loopback, "page"), "--output", tmp_path / "page")
    assert (tmp_path / "page").read_text() == PAGE
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}
    assert_counted_exactly(counted, transfers)


def test_curl_keeps_one_connection_for_many_requests(loopback, nginx, tmp_path):
    with loopback.counting("http") as counted:
        transfers = curl(url(loopback, "page?[1-20]"), "--output", tmp_path / "page-#1")
    assert [each["num_connects"] for each in transfers] == [1] + [0] * 19
    assert all((tmp_path / f"page-{number}").read_text() == PAGE for number in range(1, 21))
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}
    assert_counted_exactly(counted, transfers)


def test_a_large_download_arrives_whole(loopback, nginx, tmp_path):
    with loopback.counting("http") as counted:
        transfers = curl(url(loopback, "large"), "--output", tmp_path / "large")
    assert sha256(tmp_path / "large") == nginx.large_hash
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}
    assert_counted_exactly(counted, transfers)


def test_large_downloads_side_by_side_are_not_mixed_up(loopback, nginx, tmp_path):
    with loopback.counting("http") as counted:
        curl("--parallel", "--parallel-immediate", url(loopback, "large?[1-6]"), "--output", tmp_path / "large-#1")
    assert {sha256(tmp_path / f"large-{number}") for number in range(1, 7)} == {nginx.large_hash}
    assert counted.results == {"ok": 6}
    assert counted.to_client > 6 * LARGE_BYTES


def test_a_chunked_upload_arrives_whole(loopback, nginx, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(os.urandom(24 << 20))
    with loopback.counting("http") as counted:
        chunked = ("--header", "Transfer-Encoding: chunked", "--upload-file", body)
        transfers = curl(*chunked, url(loopback, "uploads/chunked"))
    assert transfers[0]["http_code"] == 201
    assert nginx.uploaded("chunked") == sha256(body)
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}
    assert counted.to_target > 24 << 20  # and the chunks' frames, which curl does not tell
    assert counted.to_client == transfers[0]["size_header"] + transfers[0]["size_download"]


def test_a_limited_download_is_slow_whole_and_keeps_nobody_waiting(loopback, nginx, tmp_path):
    limited = ("--silent", "--fail", "--limit-rate", LARGE_BYTES // 2, "--write-out", "%{time_total}")
    with (
        loopback.counting("http") as counted,
        running("curl", *limited, url(loopback, "large"), "--output", tmp_path / "large") as slow_curl,
    ):
        meanwhile = 0
        while slow_curl.poll() is None:
            curl(url(loopback, "page"), "--output", tmp_path / "page", "--max-time", 1)
            meanwhile += 1
        assert slow_curl.returncode == 0
        assert float(slow_curl.stdout.read()) > 1  # most of two seconds: curl begins to count late
    assert meanwhile > 1
    assert sha256(tmp_path / "large") == nginx.large_hash
    assert counted.results == {"ok": 1 + meanwhile}
    assert counted.closed == {"eof": 1 + meanwhile}


def test_a_client_that_finishes_sending_first_still_gets_its_answer(loopback, nginx):
    request = "GET /page HTTP/1.0\r\n\r\n"
    with loopback.counting("http") as counted:
        answer = run("socat", "-t", 10, "-", f"TCP:127.0.0.1:{loopback.port('http')}", text=request)
    assert answer.endswith("\n" + PAGE)
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}
    assert counted.to_target == len(request)


def test_a_client_that_goes_away_in_the_middle_is_counted_as_reset(loopback, nginx):
    with loopback.counting("http") as counted:
        # curl closes with bytes unread, and for that the kernel sends RST.
        gone = attempt("curl", "--silent", "--max-filesize", 1 << 20, url(loopback, "large"))
    assert gone.status == 63  # CURLE_FILESIZE_EXCEEDED
    assert counted.results == {"ok": 1}
    assert counted.closed == {"client_reset": 1}
    assert counted.to_client < LARGE_BYTES


def test_wrk_keeps_its_connections(loopback, nginx):
    with loopback.counting("http") as counted:
        said = run("wrk", "--threads", 1, "--connections", 32, "--duration", "2s", url(loopback, "small"))
    assert "Socket errors" not in said
    assert "Non-2xx" not in said
    requests = int(re.search(r"(\d+) requests in", said)[1])
    assert requests > 100
    assert set(counted.results) == {"ok"}
    # wrk tries the address once, and comes back when nginx closes a connection after 1,000 requests.
    assert 33 <= counted.results["ok"] <= 33 + requests / 1000
    assert counted.to_client > requests * 256


@pytest.mark.parametrize("connections", [1, 64])
def test_no_connection_of_many_short_ones_is_lost(loopback, nginx: Nginx, connections):
    before = nginx.accepted()
    with loopback.counting("http") as counted:
        closing = ("--header", "Connection: close", "--duration", "1s", "--threads", 1, "--connections", connections)
        said = run("wrk", *closing, url(loopback, "small"))
    assert "Socket errors" not in said
    assert "Non-2xx" not in said
    requests = int(re.search(r"(\d+) requests in", said)[1])
    assert requests > 100
    assert set(counted.results) == {"ok"}
    # wrk tries the address once, and leaves a request unanswered on each connection when the time is up.
    assert requests + 1 <= counted.results["ok"] <= requests + 1 + connections
    assert nginx.accepted() - before - 1 == counted.results["ok"]
    assert counted.closed["eof"] >= requests
