"""Probes as they are written: URLs, whose scheme says how to ask.

What is ours rather than the server's (the status that counts as good, the size of an echo request) stands in the
fragment, after the #: that part of a URL is never sent, so it cannot collide with anything that is.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final, assert_never
from urllib.parse import SplitResult, urlsplit

from gateway.config.endpoints import PORT_MAX, parse_host
from gateway.model import ProbeKind, ProbeSpec

HOW: Final = f'a probe such as "tcp://192.168.100.30:8080" or "icmp://10.10.20.1" (schemes: {", ".join(ProbeKind)})'
SIZE_MOST: Final = 65_507  # bytes of payload that fit into one IPv4 packet beside its headers

_USUAL_PORT: Final = {ProbeKind.HTTP: 80, ProbeKind.HTTPS: 443, ProbeKind.DNS: 53}
_STATUS_HOW: Final = 'the expected status follows as "#status=200" or "#status=200-299", from 100 to 599'
_SIZE_HOW: Final = f'the payload, if not the usual one, follows as "#size=1400", from 0 to {SIZE_MOST} bytes'
_NAME_HOW: Final = 'a dns:// probe has a server and the name to ask it for: "dns://10.0.0.53/db.example.com"'

_VISIBLE: Final = re.compile(r"[!-~]+")  # urlsplit would drop line ends and tabs without a word
_STATUS: Final = re.compile(r"status=([1-5]\d\d)(?:-([1-5]\d\d))?", re.ASCII)
_SIZE: Final = re.compile(r"size=(\d{1,5})", re.ASCII)
# Other than a host name, a name that is asked for may have underscores.
_NAME: Final = re.compile(r"/((?=.{1,253}$)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)", re.ASCII)


def parse(value: object) -> ProbeSpec:
    """The probe that a URL stands for; its label is the URL as written. Raises ValueError that says what is allowed."""
    if not isinstance(value, str) or _VISIBLE.fullmatch(value) is None:
        raise ValueError(f"must be {HOW}")
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        raise ValueError(f"must be {HOW}; ports are 1 to {PORT_MAX}") from error
    if url.scheme not in tuple(ProbeKind) or not url.hostname:
        raise ValueError(f"must be {HOW}")
    if url.username is not None or url.password is not None:
        raise ValueError("a probe carries no user name or password: leave out what stands before the @")
    kind = ProbeKind(url.scheme)
    probe = ProbeSpec(label=value, kind=kind, host=parse_host(url.hostname), port=_port(kind, port))
    match kind:
        case ProbeKind.TCP | ProbeKind.TLS:
            if url.path or url.query or url.fragment:
                raise ValueError(f"a {kind}:// probe ends with its port")
            return probe
        case ProbeKind.HTTP | ProbeKind.HTTPS:
            query = f"?{url.query}" if url.query else ""
            return replace(probe, path=f"{url.path or '/'}{query}", status=_status(url.fragment) or probe.status)
        case ProbeKind.ICMP:
            return replace(probe, size=_size(url, probe.size))
        case ProbeKind.DNS:
            return replace(probe, name=_name(url))
        case _:
            assert_never(kind)


def _port(kind: ProbeKind, port: int | None) -> int:
    if kind is ProbeKind.ICMP:
        if port is not None:
            raise ValueError("an icmp:// probe has no port")
        return 0
    port = _USUAL_PORT.get(kind) if port is None else port
    if not port:
        raise ValueError(f"a {kind}:// probe needs a port, 1 to {PORT_MAX}")
    return port


def _status(fragment: str) -> tuple[int, int] | None:
    """The bounds that the fragment names, if there is one."""
    if not fragment:
        return None
    match = _STATUS.fullmatch(fragment)
    if match is None:
        raise ValueError(_STATUS_HOW)
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f'the range is reversed: write "#status={last}-{first}"')
    return first, last


def _size(url: SplitResult, usual: int) -> int:
    if url.path or url.query:
        raise ValueError(f"an icmp:// probe ends with its host; {_SIZE_HOW}")
    if not url.fragment:
        return usual
    match = _SIZE.fullmatch(url.fragment)
    if match is None or int(match[1]) > SIZE_MOST:
        raise ValueError(_SIZE_HOW)
    return int(match[1])


def _name(url: SplitResult) -> str:
    match = _NAME.fullmatch(url.path)
    if match is None or url.query or url.fragment:
        raise ValueError(_NAME_HOW)
    return match[1].lower()
