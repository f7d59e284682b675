"""Asking a running gateway how it is: what `gateway healthcheck` does, and with it the container's HEALTHCHECK.

Standard library only, and nothing of this package's server: it starts every few seconds, so it must start quickly.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

DEFAULT: Final = "127.0.0.1:9099"
TIMEOUT: Final = 2.0
"""Seconds that the gateway has to connect, and again to answer."""

_LONGEST: Final = 1 << 20


def healthcheck(url: str | None, *, ready: bool, env: Mapping[str, str]) -> tuple[bool, str]:
    """Whether the gateway at `url` is well (or, with `ready`, fit for clients), and one line that says why.

    `url` is http://HOST:PORT or just HOST:PORT or PORT; without one GATEWAY_ADMIN in `env`, then 127.0.0.1:9099.
    A path in it is asked as it is.
    Blocks. Raises nothing: what cannot be asked is not well.
    """
    asked = url or env.get("GATEWAY_ADMIN") or DEFAULT
    path = "/readyz" if ready else "/healthz"
    try:
        parts = _parse(asked)
        host, port = parts.hostname, parts.port
    except ValueError as exc:
        return False, f"cannot ask {asked!r}: {exc}"
    path = parts.path if parts.path not in {"", "/"} else path
    place = f"http://{parts.netloc}{path}"
    connection = http.client.HTTPConnection(host or "127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(_LONGEST)
    except (OSError, ValueError) as exc:  # ValueError: a host name that cannot be one
        return False, f"{place}: {getattr(exc, 'strerror', None) or exc}"
    except http.client.HTTPException as exc:
        return False, f"{place}: no HTTP answer ({type(exc).__name__})"
    finally:
        connection.close()
    return response.status == HTTPStatus.OK, f"{place}: {_says(response, body)}"


def _parse(asked: str) -> SplitResult:
    """`asked` as a URL; whoever wrote it as a listen address is understood too. Raises ValueError."""
    if asked.isdecimal():
        asked = f"127.0.0.1:{asked}"
    parts = urlsplit(asked if "://" in asked else f"http://{asked.removeprefix('*')}")
    if parts.scheme != "http":
        raise ValueError("only http:// can be asked")
    if parts.port is None:
        raise ValueError("the port is missing")
    return parts


def _says(response: http.client.HTTPResponse, body: bytes) -> str:
    """The reason in a JSON body, else its text where that is short, else the status."""
    status = f"{response.status} {response.reason}"
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and isinstance(reason := answer.get("reason"), str):
        return f"{status}: {reason}"
    return status
