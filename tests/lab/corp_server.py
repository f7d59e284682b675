"""The company's servers in one cheap process: `corp_server.py HTTP_PORT ECHO_PORT HOLD_PORT`.

HTTP/1.1 with keep-alive:
    GET  /           a greeting, and on the last line "corp you=ADDRESS": the peer address seen
    GET  /bytes/N    N bytes
    GET  /slow?s=S   the answer of /: its head at once, its body after S seconds (default 1)
    GET  /chunks/N   N chunks of 1 KiB in chunked encoding
    POST /digest     "LENGTH SHA256" of the body, which may be chunked
    GET  /held       how many connections the hold server has now
Echo: every byte comes back; a half-close is answered when all came back.
Hold: accepts, and never says a word.
"""

from __future__ import annotations

import asyncio
import hashlib
import resource
import sys

from aiohttp import web

_BACKLOG = 65535
_PATTERN = bytes(range(256)) * 4
_GREETING = "<html><body><h1>Hello world!</h1></body></html>"
_held: set[asyncio.Transport] = set()


class Hold(asyncio.Protocol):
    """Keeps a connection and counts it, until the peer ends it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        _held.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio passes it
        _held.discard(self._transport)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send everything back, at the pace at which the peer reads."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except ConnectionError as error:
        print(f"echo: {error}", flush=True)  # noqa: T201 - its standard output is its log
    finally:
        writer.close()


def _page(request: web.Request) -> web.Response:
    return web.Response(text=f"{_GREETING}\ncorp you={request.remote}\n")


async def page(request: web.Request) -> web.Response:
    return _page(request)


async def slow(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await asyncio.sleep(float(request.query.get("s", "1")))
    await answer.write(_page(request).body)
    return answer


async def some_bytes(request: web.Request) -> web.StreamResponse:
    left = int(request.match_info["count"])
    response = web.StreamResponse(headers={"Content-Length": str(left)})
    await response.prepare(request)
    block = _PATTERN * 64
    while left > 0:
        await response.write(block[:left])
        left -= len(block)
    return response


async def chunks(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(int(request.match_info["count"])):
        await response.write(_PATTERN)
    return response


async def digest(request: web.Request) -> web.Response:
    length, sha = 0, hashlib.sha256()
    async for block in request.content.iter_any():
        length += len(block)
        sha.update(block)
    return web.Response(text=f"{length} {sha.hexdigest()}\n")


async def held(_request: web.Request) -> web.Response:
    return web.Response(text=f"{len(_held)}\n")


async def serve(http_port: int, echo_port: int, hold_port: int) -> None:
    """Serve until killed. Says "ready" when all ports listen."""
    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/slow", slow)
    app.router.add_get("/bytes/{count}", some_bytes)
    app.router.add_get("/chunks/{count}", chunks)
    app.router.add_post("/digest", digest)
    app.router.add_get("/held", held)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", http_port, backlog=_BACKLOG).start()
    echoing = await asyncio.start_server(echo, "0.0.0.0", echo_port, backlog=_BACKLOG)
    holding = await asyncio.get_running_loop().create_server(Hold, "0.0.0.0", hold_port, backlog=_BACKLOG)
    print("ready", flush=True)  # noqa: T201 - the lab waits for this line
    await asyncio.gather(echoing.serve_forever(), holding.serve_forever())


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(*map(int, sys.argv[1:])))
