"""The book on the event loop: nothing waits for a disk, nothing that was said is lost without being counted."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest

from gateway.admin.book import book as module
from gateway.admin.book.book import Book
from gateway.admin.book.queries import Query
from gateway.errors import OperationError
from gateway.model import LineLevel
from tests.admin.book.entries import NOW, activity, line, texts

DEADLINE = 30.0
EVERYTHING = Query(after=0)


@asynccontextmanager
async def running(book: Book):
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        task = group.create_task(book.run())
        yield book
        task.cancel()


class SlowDisk:
    """Holds the book's thread in `add` until it is told to go on."""

    def __init__(self, book: Book, monkeypatch) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        add = book._shelf.add

        def slowly(entries):
            self.entered.set()
            assert self.go_on.wait(DEADLINE)
            return add(entries)

        monkeypatch.setattr(book._shelf, "add", slowly)

    async def is_busy(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, DEADLINE)


async def test_what_was_said_a_moment_ago_is_read(tmp_path):
    async with running(Book(tmp_path)) as book:
        book.line(line("hello"))
        book.record(activity("up"))
        assert texts(await book.lines(EVERYTHING)) == ["hello"]
        assert texts(await book.activities(EVERYTHING)) == ["up"]


async def test_what_was_said_before_and_at_the_end_is_kept(tmp_path):
    book = Book(tmp_path)
    book.line(line("early"))
    async with running(book):
        await book.lines(EVERYTHING)
        book.line(line("late"))
    async with running(Book(tmp_path)) as again:
        assert texts(await again.lines(EVERYTHING)) == ["early", "late"]
    assert book.dropped == 0


async def test_cancelled_at_once_it_still_keeps_what_was_said(tmp_path):
    book = Book(tmp_path)
    book.line(line("hello"))
    async with running(book):
        await asyncio.sleep(0)
    async with running(Book(tmp_path)) as again:
        assert texts(await again.lines(EVERYTHING)) == ["hello"]


@pytest.mark.parametrize("level", list(LineLevel))
async def test_lines_are_logged_at_their_level(tmp_path, logged, level):
    Book(tmp_path).line(line("Peer dead", level=level))
    assert logged == [
        {"event": "vpn.line", "log_level": level, "tunnel": "zone-a", "component": "openvpn", "text": "Peer dead"}
    ]


async def test_growth_is_told_when_it_can_be_read():
    async with running(Book(None)) as book:
        growth = book.growth
        book.line(line("hello"))
        await growth.wait()
        assert book.growth is not growth
        assert texts(await book.lines(EVERYTHING)) == ["hello"]
        ended = book.growth
    assert ended.is_set()


async def test_what_comes_together_is_written_together(monkeypatch):
    async with running(Book(None)) as book:
        await book.lines(EVERYTHING)
        batches = []
        add = book._shelf.add
        monkeypatch.setattr(book._shelf, "add", lambda entries: batches.append(len(entries)) or add(entries))
        growth = book.growth
        for number in range(100):
            book.line(line(str(number)))
        await growth.wait()
    assert batches == [100]


async def test_a_slow_disk_holds_nobody_up_and_what_is_too_much_is_counted(monkeypatch, logged):
    book = Book(None, capacity=10)
    disk = SlowDisk(book, monkeypatch)
    async with running(book):
        book.line(line("first"))
        await disk.is_busy()
        for number in range(25):
            book.line(line(str(number)))
        assert book.dropped == 15
        disk.go_on.set()
        page = await book.lines(EVERYTHING)
    assert texts(page) == ["first", *map(str, range(10))]
    dropped = [each for each in logged if each["event"] == "book.dropped"]
    assert dropped == [{"event": "book.dropped", "log_level": "warning", "entries": 1}]


async def test_a_disk_that_hangs_does_not_hold_up_the_end(monkeypatch, logged):
    monkeypatch.setattr(module, "_LAST_WRITE", 0.05)
    book = Book(None)
    disk = SlowDisk(book, monkeypatch)
    async with running(book):
        book.line(line("first"))
        await disk.is_busy()
        book.line(line("second"))
    assert [each["entries"] for each in logged if each["event"] == "book.dropped"] == [1]
    disk.go_on.set()


async def test_what_the_disk_does_not_take_counts_as_dropped(monkeypatch):
    async with running(Book(None)) as book:
        monkeypatch.setattr(book._shelf, "add", len)
        book.line(line())
        await book.lines(EVERYTHING)
        assert book.dropped == 1


async def test_old_entries_go_though_nothing_new_comes(monkeypatch):
    monkeypatch.setattr(module, "_PRUNE_EVERY", 0.01)
    now = NOW
    book = Book(None, now_unix=lambda: now)
    async with running(book):
        book.line(line())
        assert len((await book.lines(EVERYTHING)).entries) == 1
        now += 31 * 86_400
        while (await book.lines(EVERYTHING)).entries:
            pass


async def test_a_book_that_has_ended_says_so():
    book = Book(None)
    async with running(book):
        await book.lines(EVERYTHING)
    with pytest.raises(OperationError, match="the book is closed"):
        await book.lines(EVERYTHING)


async def test_a_defect_ends_the_task_and_does_not_hide(monkeypatch):
    book = Book(None)
    monkeypatch.setattr(book._shelf, "add", lambda _: 1 // 0)
    book.line(line())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(book.run(), DEADLINE)
