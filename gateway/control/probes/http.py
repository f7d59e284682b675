"""`http(s)://host:port/path`: one GET, of which the status is read and nothing more.

aiohttp connects a socket of ours, to the address that is known for this tunnel: no name is looked up, no proxy of the
environment asked, no redirect followed, since each might lead out by another way.
"""

from __future__ import annotations

import errno
import socket
from time import monotonic
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from yarl import URL

from gateway.control.probes import bound
from gateway.control.probes.answer import Answer, code_of, failed, words_of
from gateway.control.probes.certificate import expiry_of, unverified
from gateway.control.probes.handshake import Shaken, answered_at, shaken
from gateway.control.probes.patience import patience
from gateway.model import Aim, Endpoint, Path, ProbeOutcome

_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=None)  # the probe's own deadline is the only one
_HEADERS: Final = {"User-Agent": "gateway"}


async def ask(aim: Aim, path: Path, seconds: float) -> Answer:
    """PASSED when the status is within the probe's bounds, ANSWERED when something else came. As `answer.Ask` says.

    A target that is connected and says nothing has ANSWERED too, when its handshake did.
    """
    spec = aim.spec
    url = URL(f"{spec.kind}://{Endpoint(spec.host, spec.port)}{spec.path}", encoded=True)
    with _Wire(aim, path) as wire:
        try:
            async with (
                patience(seconds),
                _session(wire) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                status = response.status
                expiry = response.expiry_at_unix if isinstance(response, _Response) else None
        except TimeoutError:
            detail, code = "connected, but no answer in time", errno.ETIMEDOUT
        except aiohttp.ClientSSLError as error:
            detail, code = f"no TLS handshake: {words_of(error.os_error)}", errno.ECONNRESET
        except aiohttp.ClientOSError as error:
            cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            detail, code = words_of(cause), code_of(cause)
        except aiohttp.ClientError as error:  # not HTTP, or no more of it
            detail, code = f"no answer in HTTP: {error}", errno.ECONNRESET
        else:
            good = spec.status[0] <= status <= spec.status[1]
            return Answer(
                outcome=ProbeOutcome.PASSED if good else ProbeOutcome.ANSWERED,
                sent_at=wire.sent_at,
                at=monotonic(),
                rtt=wire.rtt,
                expiry_at_unix=expiry,
                detail="" if good else f"status {status}",
            )
        at = monotonic()
        answered = failed(code, sent_at=wire.sent_at, at=at)
        if answered.outcome is ProbeOutcome.LOCAL or (wire.shaken is None and code != errno.ECONNRESET):
            return answered
        return Answer(
            outcome=ProbeOutcome.ANSWERED,
            sent_at=wire.sent_at,
            at=answered_at(wire.sent_at, at, wire.rtt),
            rtt=wire.rtt,
            detail=detail,
        )


class _Wire(AbstractResolver):
    """Gives aiohttp its one socket and its one address, and keeps a second descriptor of the socket.

    aiohttp closes its own before we hear of a failed connect; the second one can still tell how far it had come. After
    a failed TLS handshake, on the other hand, nobody closes it but us.
    """

    def __init__(self, aim: Aim, path: Path) -> None:
        self.sent_at = monotonic()
        self._aim = aim
        self._path = path
        self._lent: socket.socket | None = None
        self._kept: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for owned in (self._lent, self._kept):
            if owned is not None:
                owned.close()

    @property
    def shaken(self) -> Shaken | None:
        """The TCP connection, while there is one."""
        return None if self._kept is None else shaken(self._kept)

    @property
    def rtt(self) -> float | None:
        """The round trip of the connection, while there is one."""
        return None if (seen := self.shaken) is None else seen.rtt

    def make(self, _info: aiohttp.AddrInfoType) -> socket.socket:
        """What aiohttp asks for its socket, once: it would repeat a GET on which the server hung up."""
        if self._lent is not None:
            raise ConnectionResetError(errno.ECONNRESET, "the server hung up")
        self._lent = bound.stream(self._path, self._aim.addresses[0])
        self._kept = self._lent.dup()
        self.sent_at = monotonic()
        return self._lent

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """What aiohttp asks for the address of a name."""
        address = self._aim.addresses[0]
        family = bound.family_of(address)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        """Nothing of the resolver's is to be closed: `__exit__` closes the socket."""


class _Response(aiohttp.ClientResponse):
    """A response that has noted the certificate: a short one has given its connection back when it is handed out."""

    expiry_at_unix: float | None = None

    async def start(self, connection: Connection) -> Self:
        if connection.transport is not None:
            self.expiry_at_unix = expiry_of(connection.transport.get_extra_info("ssl_object"))
        await super().start(connection)
        return self


def _session(wire: _Wire) -> aiohttp.ClientSession:
    """A session for one request; the caller's to close."""
    connector = aiohttp.TCPConnector(
        resolver=wire,
        socket_factory=wire.make,
        ssl=unverified(),
        force_close=True,
        use_dns_cache=False,
        happy_eyeballs_delay=None,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=_NO_TIMEOUT,
        trust_env=False,
        auto_decompress=False,
        response_class=_Response,
    )
