from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest

from gateway.control.probes.certificate import expiry_of, unverified
from tests.control.probes.certified import server_context


def shaken(server: ssl.SSLContext) -> ssl.SSLObject:
    """The client's end of a handshake with `server`, in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = unverified().wrap_bio(to_client, to_server, server_hostname="db.example.com")
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, other, client, other):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client


@pytest.mark.parametrize("year", [1999, 2030, 2090])
def test_the_end_of_the_certificate_that_was_shown(tmp_path: Path, year: int):
    expiry = dt.datetime(year, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    assert expiry_of(shaken(server_context(tmp_path, expiry))) == expiry.timestamp()


def test_without_a_session_there_is_none():
    assert expiry_of(None) is None
