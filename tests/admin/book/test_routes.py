"""The book in /api/v1: pages, and streams that follow it."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from gateway.admin.book import routes
from gateway.admin.book.activity import ActivityKind
from gateway.admin.documents import ActivitiesDocument, LogsDocument
from gateway.model import LineLevel
from tests.admin.book.entries import activity, line
from tests.admin.fakes import NOW_UNIX
from tests.admin.test_describe import conforms

DEADLINE = 30.0


@pytest.fixture
async def book(fake):
    """The fake gateway's book, at work."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(fake.book.run())
        yield fake.book
        task.cancel()


@pytest.fixture(params=["TCP", "Unix"])
def session(request, client, operator):
    return {"TCP": client, "Unix": operator}[request.param]


async def ask(session, path: str, **parameters: object) -> tuple[int, dict]:
    async with session.get(path, params=parameters) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


@asynccontextmanager
async def following(session, path: str, **parameters: object):
    """The documents of a stream, heartbeats left out."""
    async with session.get(path, params=parameters) as answer:
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")

        async def documents():
            async for raw in answer.content:
                if raw.strip():
                    yield json.loads(raw)

        yield documents()


async def some(stream, number: int) -> list[str]:
    return [(document := await anext(stream)).get("text") or document["detail"] for _ in range(number)]


# ---------------------------------------------------------------- pages


async def test_lines_and_activities_at_both_doors(book, session):
    book.line(line("hello", at_unix=1_799_999_999.9994, level=LineLevel.WARNING))
    book.record(activity("moved", kind=ActivityKind.FAILOVER, to_tunnel="zone-b", by="uid 0, pid 1"))
    status, logs = await ask(session, "/api/v1/logs")
    assert (status, conforms(logs, LogsDocument), logs["more"]) == (200, True, False)
    [said] = logs["lines"]
    del said["number"]
    assert said == {
        "at": "2027-01-15T07:59:59.999Z",
        "tunnel": "zone-a",
        "level": "warning",
        "component": "openvpn",
        "text": "hello",
    }
    status, done = await ask(session, "/api/v1/activity")
    assert (status, conforms(done, ActivitiesDocument)) == (200, True)
    assert [(each["kind"], each["to_tunnel"], each["by"]) for each in done["activities"]] == [
        ("failover", "zone-b", "uid 0, pid 1")
    ]


async def test_paging_and_filters(book, operator):
    for number in range(30):
        book.line(line(f"line {number}", at_unix=NOW_UNIX - 3600 + number, tunnel="zone-b"))
    _, page = await ask(operator, "/api/v1/logs", limit=10, tunnel="zone-b")
    assert ([each["text"] for each in page["lines"]], page["more"]) == ([f"line {n}" for n in range(20, 30)], True)
    _, page = await ask(operator, "/api/v1/logs", limit=25, before=page["lines"][0]["number"])
    assert ([each["text"] for each in page["lines"]], page["more"]) == ([f"line {n}" for n in range(20)], False)
    _, page = await ask(operator, "/api/v1/logs", since="59m35s", grep="LINE 2")
    assert [each["text"] for each in page["lines"]] == [f"line {n}" for n in range(25, 30)]


async def test_a_tunnel_that_there_never_was_and_one_that_there_is_no_more(book, operator):
    book.line(line("old", tunnel="zone-old"))
    for path in ("logs", "activity", "logs/stream", "activity/stream"):
        status, document = await ask(operator, f"/api/v1/{path}", tunnel="zone-c")
        assert status == 404
        assert document["error"].startswith("no tunnel 'zone-c': there are zone-")
    assert (await ask(operator, "/api/v1/logs", tunnel="zone-a"))[1]["lines"] == []
    assert [each["text"] for each in (await ask(operator, "/api/v1/logs", tunnel="zone-old"))[1]["lines"]] == ["old"]


@pytest.mark.parametrize("path", ["logs", "activity", "logs/stream", "activity/stream"])
async def test_what_cannot_be_understood(book, operator, path):
    status, document = await ask(operator, f"/api/v1/{path}", limit="many")
    assert (status, document) == (400, {"error": "'limit': a whole number, 1 to 1000"})


@pytest.mark.parametrize("path", ["logs", "activity", "logs/stream", "activity/stream"])
async def test_a_book_that_has_ended(fake, operator, path):
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        task = group.create_task(fake.book.run())
        await ask(operator, "/api/v1/logs")
        task.cancel()
    assert await ask(operator, f"/api/v1/{path}") == (503, {"error": "the book is closed: the gateway is ending"})


# ---------------------------------------------------------------- streams


async def test_a_stream_begins_with_the_last_few_and_goes_on(book, session):
    for number in range(30):
        book.line(line(str(number)))
    async with following(session, "/api/v1/logs/stream") as stream:
        assert await some(stream, 10) == [str(number) for number in range(20, 30)]
        for text in ("new", "newer"):
            book.line(line(text))
            assert await some(stream, 1) == [text]


async def test_a_stream_since_then_has_all_of_it_however_much(book, operator):
    total = 2500  # three pages
    for number in range(total):
        book.line(line(str(number), at_unix=NOW_UNIX))
    async with following(operator, "/api/v1/logs/stream", since="1h") as stream:
        assert await some(stream, total) == [str(number) for number in range(total)]
        book.line(line("new"))
        assert await some(stream, 1) == ["new"]


async def test_a_stream_goes_on_where_another_ended(book, operator):
    book.line(line("a"))
    book.line(line("b"))
    async with following(operator, "/api/v1/logs/stream") as stream:
        first = await anext(stream)
    async with following(operator, "/api/v1/logs/stream", after=first["number"]) as stream:
        assert await some(stream, 1) == ["b"]


async def test_a_stream_has_what_fits_and_nothing_else(book, operator):
    async with following(operator, "/api/v1/logs/stream", tunnel="zone-b", level="warning", grep="dead") as stream:
        book.line(line("dead", tunnel="zone-b"))
        book.line(line("dead", level=LineLevel.ERROR))
        book.line(line("alive", tunnel="zone-b", level=LineLevel.ERROR))
        await book.lines(routes.Query())
        book.line(line("DEAD too", tunnel="zone-b", level=LineLevel.ERROR))
        assert await some(stream, 1) == ["DEAD too"]


async def test_activities_are_followed_too(book, operator):
    async with following(operator, "/api/v1/activity/stream") as stream:
        book.line(line("no activity"))
        book.record(activity("up"))
        assert await some(stream, 1) == ["up"]


async def test_silence_has_a_heartbeat(book, operator, monkeypatch):
    monkeypatch.setattr(routes, "_HEARTBEAT", 0.01)
    async with operator.get("/api/v1/logs/stream") as answer:
        assert [await answer.content.readline() for _ in range(3)] == [b"\n"] * 3


async def test_who_has_gone_is_noticed_and_forgotten(book, operator, control, monkeypatch, logged):
    monkeypatch.setattr(routes, "_HEARTBEAT", 0.01)
    entered, left = asyncio.Event(), asyncio.Event()
    pages = routes.BookRoutes._pages

    async def watched(self, *arguments):
        entered.set()
        try:
            async for page in pages(self, *arguments):
                yield page
        finally:
            left.set()

    monkeypatch.setattr(routes.BookRoutes, "_pages", watched)
    async with operator.get("/api/v1/logs/stream") as answer:
        await entered.wait()
        answer.close()
    await left.wait()
    assert [each for each in logged if each["log_level"] in {"error", "critical"}] == []


async def test_the_servers_end_does_not_wait_for_who_follows(book, operator, control):
    async with following(operator, "/api/v1/logs/stream") as stream:
        book.line(line("hello"))
        assert await some(stream, 1) == ["hello"]
        async with asyncio.timeout(0.9):  # less than the second that a request gets to end
            await control.close()
        assert [each async for each in stream] == []


async def test_the_books_end_is_the_streams(fake, operator):
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        task = group.create_task(fake.book.run())
        async with following(operator, "/api/v1/logs/stream") as stream:
            task.cancel()
            assert [each async for each in stream] == []


async def test_a_slow_reader_costs_no_memory_and_loses_nothing(book, operator):
    async with following(operator, "/api/v1/logs/stream", after=0) as stream:
        total = 3000
        for number in range(total):
            book.line(line(f"{number} " + "x" * 500))
        await book.lines(routes.Query())
        assert [text.split()[0] for text in await some(stream, total)] == [str(number) for number in range(total)]
