"""What a probe's URL may look like. This version keeps probes and does not run them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from gateway.config.endpoints import PORT_MAX, parse_host

SCHEMES: Final = ("tcp", "tls", "http", "https", "icmp", "dns")
_PORT_NEEDED: Final = frozenset({"tcp", "tls"})
_PORT_BARRED: Final = frozenset({"icmp"})
HOW: Final = f'a probe such as "tcp://192.168.100.30:8080" or "icmp://10.10.20.1" (schemes: {", ".join(SCHEMES)})'


def parse(value: object) -> str:
    """A probe's URL, unchanged. Raises ValueError that says what is allowed."""
    if not isinstance(value, str):
        raise ValueError(f"must be {HOW}")  # noqa: TRY004 - pydantic gathers ValueErrors only
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        raise ValueError(f"must be {HOW}; ports are 1 to {PORT_MAX}") from error
    if url.scheme not in SCHEMES or not url.hostname:
        raise ValueError(f"must be {HOW}")
    if url.username is not None or url.password is not None:
        raise ValueError("a probe carries no user name or password: leave out what stands before the @")
    parse_host(url.hostname)
    if port == 0 or (port is None and url.scheme in _PORT_NEEDED):
        raise ValueError(f"a {url.scheme}:// probe needs a port, 1 to {PORT_MAX}")
    if port is not None and url.scheme in _PORT_BARRED:
        raise ValueError(f"an {url.scheme}:// probe has no port")
    return value
