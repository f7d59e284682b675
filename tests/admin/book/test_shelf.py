"""Where the book stands, and what becomes of it when the disk is not what it should be."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from gateway.admin.book.queries import Query
from gateway.admin.book.shelf import Shelf
from gateway.admin.book.store import MONTH
from gateway.errors import OperationError
from tests.admin.book.entries import NOW, line, texts

EVERYTHING = Query(after=0)


def opened(directory: Path | None, now: float = NOW):
    shelf = Shelf(directory, retention=MONTH, now_unix=lambda: now)
    shelf.open()
    return closing(shelf)


def fill(directory: Path, *said: str) -> Path:
    with opened(directory) as shelf:
        assert shelf.add([line(text) for text in said]) == 0
    return directory / "book.sqlite3"


def test_a_private_place_that_is_made(tmp_path, logged):
    place = tmp_path / "lib" / "gateway"
    with opened(place) as shelf:
        shelf.add([line()])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in place.iterdir()}
    assert set(modes.values()) == {0o600}
    assert set(modes) >= {"book.sqlite3"}
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert logged == []


def test_it_survives_its_gateway(tmp_path, logged):
    fill(tmp_path, "before")
    with opened(tmp_path) as shelf:
        assert texts(shelf.lines(EVERYTHING)) == ["before"]
    assert logged == []


def test_without_a_place_it_is_in_memory_on_purpose(logged):
    with opened(None) as shelf:
        shelf.add([line("hello")])
        shelf.prune()
        assert texts(shelf.lines(EVERYTHING)) == ["hello"]
    assert logged == []


def test_a_place_that_cannot_be_had(tmp_path, logged):
    (tmp_path / "file").write_text("")
    with opened(tmp_path / "file") as shelf:
        shelf.add([line("hello")])
        assert texts(shelf.lines(EVERYTHING)) == ["hello"]
    [said] = logged
    assert (said["event"], said["path"]) == ("book.in_memory", str(tmp_path / "file" / "book.sqlite3"))
    assert said["reason"] in {"Not a directory", "File exists"}


def test_a_link_is_not_followed(tmp_path, logged):
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "book.sqlite3").symlink_to(tmp_path / "elsewhere")
    with opened(tmp_path):
        pass
    assert [each["event"] for each in logged] == ["book.in_memory"]
    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_a_second_gateway_keeps_its_book_in_memory(tmp_path, logged):
    with opened(tmp_path) as first, opened(tmp_path) as second:
        second.add([line("second")])
        first.add([line("first")])
        assert (texts(first.lines(EVERYTHING)), texts(second.lines(EVERYTHING))) == (["first"], ["second"])
    assert [each["reason"] for each in logged] == ["another gateway keeps its book there"]


def test_somebody_elses_database_is_left_alone(tmp_path, logged):
    with closing(sqlite3.connect(tmp_path / "book.sqlite3")) as connection:
        connection.execute("CREATE TABLE recipes (cake)")
    with opened(tmp_path):
        pass
    assert [(each["event"], each["reason"]) for each in logged] == [("book.in_memory", "a database of something else")]


# ---------------------------------------------------------------- damage


def test_a_damaged_book_is_set_aside_and_another_begun(tmp_path, logged):
    for round_ in range(2):  # the second damaged one takes the place of the first
        (tmp_path / "book.sqlite3").write_bytes(b"garbage %d" % round_ * 1000)
        with opened(tmp_path) as shelf:
            shelf.add([line("new")])
            assert texts(shelf.lines(EVERYTHING)) == ["new"]
    assert [(each["event"], each["log_level"]) for each in logged] == [("book.damaged", "error")] * 2
    assert logged[0]["aside"] == str(tmp_path / "book.sqlite3.damaged")
    assert (tmp_path / "book.sqlite3.damaged").read_bytes().startswith(b"garbage 1")
    assert {file.name for file in tmp_path.iterdir()} == {"book.sqlite3", "book.sqlite3.damaged"}


def test_damage_that_is_found_at_work_costs_the_old_book_and_no_new_line(tmp_path, logged):
    path = fill(tmp_path, *("x" * 1000 for _ in range(200)))
    with opened(tmp_path) as shelf:
        data = bytearray(path.read_bytes())
        for page in range(1, len(data) // 4096):
            data[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
        path.write_bytes(data)
        shelf._store._connection.execute("PRAGMA shrink_memory")  # forget the good pages
        assert shelf.add([line("after")]) == 0
        assert texts(shelf.lines(EVERYTHING)) == ["after"]
    assert [each["event"] for each in logged] == ["book.damaged"]
    with opened(tmp_path) as shelf:
        assert texts(shelf.lines(EVERYTHING)) == ["after"]


def test_damage_that_cannot_be_set_aside_leads_to_memory(tmp_path, logged, monkeypatch):
    (tmp_path / "book.sqlite3").write_bytes(b"garbage" * 1000)

    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with opened(tmp_path) as shelf:
        assert shelf.add([line()]) == 0
    assert [(each["event"], each["reason"]) for each in logged] == [("book.in_memory", "Permission denied")]


# ---------------------------------------------------------------- a disk that takes nothing


@pytest.fixture
def full(tmp_path):
    """A book that may not grow any more, and how it may again."""
    with opened(tmp_path) as shelf:
        connection = shelf._store._connection
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        yield shelf, lambda: connection.execute("PRAGMA max_page_count = 100000")


def test_what_the_disk_does_not_take_is_counted_said_once_and_then_it_goes_on(full, logged):
    shelf, empty_the_disk = full
    much = [line("x" * 4000) for _ in range(10)]
    assert [shelf.add(much), shelf.add(much)] == [10, 10]
    assert [(each["event"], each["reason"]) for each in logged] == [("book.unwritable", "database or disk is full")]
    empty_the_disk()
    assert shelf.add(much) == 0
    assert len(shelf.lines(EVERYTHING).entries) == 10


def test_a_disk_that_gives_nothing(tmp_path):
    with opened(tmp_path) as shelf:
        shelf._store._connection.close()
        with pytest.raises(OperationError, match="the book cannot be read: "):
            shelf.lines(EVERYTHING)
