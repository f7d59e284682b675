from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import probe_urls
from gateway.model import Endpoint, ProbeKind, ProbeSpec


@pytest.mark.parametrize(
    ("url", "rest"),
    [
        ("tcp://192.168.100.30:8080", {"kind": ProbeKind.TCP, "host": "192.168.100.30", "port": 8080}),
        ("TCP://DB.example.com:1", {"kind": ProbeKind.TCP, "host": "db.example.com", "port": 1}),
        ("tls://[2001:DB8::0:1]:636", {"kind": ProbeKind.TLS, "host": "2001:db8::1", "port": 636}),
        ("http://web.example.com", {"kind": ProbeKind.HTTP, "host": "web.example.com", "port": 80}),
        ("http://10.0.0.1/a/b?c=d", {"kind": ProbeKind.HTTP, "host": "10.0.0.1", "port": 80, "path": "/a/b?c=d"}),
        ("http://10.0.0.1?c=d", {"kind": ProbeKind.HTTP, "host": "10.0.0.1", "port": 80, "path": "/?c=d"}),
        ("https://10.0.0.1/", {"kind": ProbeKind.HTTPS, "host": "10.0.0.1", "port": 443}),
        ("https://10.0.0.1:8443/", {"kind": ProbeKind.HTTPS, "host": "10.0.0.1", "port": 8443}),
        (
            "https://10.0.0.1/x#status=401",
            {"kind": ProbeKind.HTTPS, "host": "10.0.0.1", "port": 443, "path": "/x", "status": (401, 401)},
        ),
        (
            "http://10.0.0.1#status=200-299",
            {"kind": ProbeKind.HTTP, "host": "10.0.0.1", "port": 80, "status": (200, 299)},
        ),
        ("icmp://10.10.20.1", {"kind": ProbeKind.ICMP, "host": "10.10.20.1"}),
        ("icmp://[2001:db8::1]#size=0", {"kind": ProbeKind.ICMP, "host": "2001:db8::1", "size": 0}),
        ("icmp://gw.example.com#size=65507", {"kind": ProbeKind.ICMP, "host": "gw.example.com", "size": 65_507}),
        (
            "dns://10.0.0.53/DB.example.com.",
            {"kind": ProbeKind.DNS, "host": "10.0.0.53", "port": 53, "name": "db.example.com."},
        ),
        (
            "dns://10.0.0.53:5353/_ldap._tcp.a",
            {"kind": ProbeKind.DNS, "host": "10.0.0.53", "port": 5353, "name": "_ldap._tcp.a"},
        ),
    ],
)
def test_probe(url, rest):
    assert probe_urls.parse(url) == ProbeSpec(label=url, **rest)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "10.0.0.1:80",
        "tcp://",
        "tcp://10.0.0.1",
        "tcp://10.0.0.1:0",
        "tcp://10.0.0.1:99999",
        "tcp://10.0.0.1:80\n",
        "tcp://10.0.0.1:80/",
        "tcp://10.0.0.1:80?a",
        "tls://10.0.0.1:80#status=200",
        "icmp://10.0.0.1:7",
        "icmp://10.0.0.1/",
        "icmp://10.0.0.1#size=",
        "icmp://10.0.0.1#size=-1",
        "icmp://10.0.0.1#size=65508",
        "icmp://10.0.0.1#status=200",
        "http://10.0.0.1/#status=99",
        "http://10.0.0.1/#status=200-",
        "http://10.0.0.1/#size=1",
        "http://10.0.0.1/a b",
        "http://10.0.0.1/ä",
        "dns://10.0.0.53",
        "dns://10.0.0.53/",
        "dns://10.0.0.53/a/b",
        "dns://10.0.0.53/a#b",
        f"dns://10.0.0.53/{'a.' * 127}a",
        "ftp://10.0.0.1",
        "http://user@10.0.0.1/",
        "http://a_b/",
        "http://[::1/",
        "http://0.0.0.0/",
        5,
    ],
)
def test_no_probe(url):
    with pytest.raises(ValueError, match=r"."):
        probe_urls.parse(url)


@given(st.text(max_size=30) | st.text(alphabet="tcphdnsim:/[]#.0123456789=?@ae", max_size=40))
def test_whatever_is_written_is_a_probe_or_a_value_error(text):
    try:
        probe = probe_urls.parse(text)
    except ValueError:
        return
    assert probe.label == text
    assert probe.endpoint in {None, Endpoint(probe.host, probe.port)}
