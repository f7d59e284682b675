from __future__ import annotations

import pytest

from gateway.config import probe_urls


@pytest.mark.parametrize(
    "url",
    [
        "tcp://192.168.100.30:8080",
        "tls://[2001:db8::1]:636",
        "http://web.example.com/health?full=1",
        "https://web.example.com:8443/",
        "icmp://10.10.20.1",
        "dns://10.0.0.53",
    ],
)
def test_probe(url):
    assert probe_urls.parse(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "10.0.0.1:80",
        "tcp://",
        "tcp://10.0.0.1",
        "tcp://10.0.0.1:0",
        "tcp://10.0.0.1:99999",
        "icmp://10.0.0.1:7",
        "ftp://10.0.0.1",
        "http://user@10.0.0.1/",
        "http://a_b/",
        "http://[::1/",
        5,
    ],
)
def test_no_probe(url):
    with pytest.raises(ValueError, match=r"."):
        probe_urls.parse(url)
