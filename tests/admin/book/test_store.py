"""The book as a database: what is kept, what is forgotten, which entries come on which page."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from gateway.admin.book.activity import ActivityKind
from gateway.admin.book.queries import Query
from gateway.admin.book.schema import APPLICATION, VERSION, DamagedError, StrangerError
from gateway.admin.book.store import MONTH, Retention, Store
from gateway.model import LineLevel
from tests.admin.book.entries import NOW, activity, line, texts

EVERYTHING = Query(after=0, limit=1000)


@pytest.fixture
def store():
    with closing(Store.open(None, MONTH, now_unix=NOW)) as store:
        yield store


def numbers(page):
    return [kept.number for kept in page.entries]


def test_what_is_read_is_what_was_added(store):
    said = line("ünïcode\tand 'quotes'", at_unix=NOW + 0.123, level=LineLevel.ERROR, component="ike")
    done = activity("as 10.8.0.2", kind=ActivityKind.FAILOVER, to_tunnel="zone-b", by="uid 0, pid 123")
    whole = activity(kind=ActivityKind.CONFIG_APPLIED, tunnel=None)
    store.add([said, done, whole])
    assert [kept.entry for kept in store.lines(EVERYTHING).entries] == [said]
    assert [kept.entry for kept in store.activities(EVERYTHING).entries] == [done, whole]


def test_what_is_no_unicode_is_kept_all_the_same_and_what_is_endless_is_cut(store):
    store.add([line("a\udcffb"), line("x" * 10_000)])
    assert texts(store.lines(EVERYTHING)) == ["a\\udcffb", "x" * 4096]


# ---------------------------------------------------------------- pages


def test_pages_backwards_and_onwards_are_the_same_entries_the_oldest_first(store):
    store.add([line(str(number)) for number in range(25)])
    everything = [str(number) for number in range(25)]
    back, query = [], Query(limit=10)
    for more in (True, True, False):
        page = store.lines(query)
        assert page.more is more
        back = texts(page) + back
        query = replace(query, before=page.entries[0].number)
    onwards, query = [], Query(after=0, limit=10)
    for more in (True, True, False):
        page = store.lines(query)
        assert page.more is more
        onwards += texts(page)
        query = replace(query, after=page.entries[-1].number)
    assert (back, onwards) == (everything, everything)


def test_a_page_that_is_exactly_full_has_no_more(store):
    store.add([line(str(number)) for number in range(10)])
    assert not store.lines(Query(limit=10)).more
    assert not store.lines(Query(after=0, limit=10)).more


def test_the_newest_number_is_told_even_where_nothing_fits(store):
    store.add([line("a"), line("b")])
    page = store.lines(Query(tunnel="zone-b"))
    assert (page.entries, page.newest) == ((), numbers(store.lines(EVERYTHING))[-1])
    assert store.lines(Query(after=page.newest)).entries == ()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query(), ["Peer dead", "TLS ok", "tls BAD"]),
        (Query(tunnel="zone-b"), ["TLS ok"]),
        (Query(tunnel="zone-c"), []),
        (Query(since_unix=NOW), ["TLS ok", "tls BAD"]),
        (Query(level=LineLevel.WARNING), ["Peer dead", "tls BAD"]),
        (Query(level=LineLevel.ERROR), ["tls BAD"]),
        (Query(grep="tls"), ["TLS ok", "tls BAD"]),
        (Query(grep="%"), []),
        (Query(tunnel="zone-a", grep="tls", level=LineLevel.WARNING), ["tls BAD"]),
    ],
)
def test_lines_that_fit(store, query, found):
    store.add([
        line("Peer dead", at_unix=NOW - 60, level=LineLevel.WARNING),
        line("TLS ok", tunnel="zone-b"),
        line("tls BAD", level=LineLevel.ERROR),
    ])  # fmt: skip
    assert texts(store.lines(query)) == found


def test_a_move_is_an_activity_of_both_tunnels(store):
    store.add([
        activity("move", kind=ActivityKind.FAILOVER, to_tunnel="zone-b"),
        activity("up", tunnel="zone-b"),
        activity("all", tunnel=None),
    ])  # fmt: skip
    assert texts(store.activities(Query(tunnel="zone-a"))) == ["move"]
    assert texts(store.activities(Query(tunnel="zone-b"))) == ["move", "up"]
    assert texts(store.activities(Query())) == ["move", "up", "all"]


# ---------------------------------------------------------------- what is forgotten


def test_so_many_of_each_tunnel_are_kept():
    with closing(Store.open(None, Retention(per_tunnel=50), now_unix=NOW)) as store:
        store.add([line(str(number)) for number in range(500)])
        store.add([line(f"b{number}", tunnel="zone-b") for number in range(3)])
        store.add([activity(str(number), tunnel=None) for number in range(500)])
        assert texts(store.lines(Query(after=0, tunnel="zone-a", limit=1000))) == [str(n) for n in range(450, 500)]
        assert texts(store.lines(Query(tunnel="zone-b"))) == ["b0", "b1", "b2"]
        assert texts(store.activities(EVERYTHING)) == [str(number) for number in range(450, 500)]


def test_lines_that_come_one_by_one_are_bounded_too():
    with closing(Store.open(None, Retention(per_tunnel=50), now_unix=NOW)) as store:
        for number in range(450):
            store.add([line(str(number))])
            assert len(store.lines(EVERYTHING).entries) < 50 + 100
        store.prune(now_unix=NOW)
        assert texts(store.lines(EVERYTHING)) == [str(number) for number in range(400, 450)]


def test_what_is_too_old_goes():
    with closing(Store.open(None, Retention(seconds=3600), now_unix=NOW)) as store:
        store.add([line("old", at_unix=NOW - 3601), line("young", at_unix=NOW - 3599), activity("old", at_unix=0.0)])
        store.prune(now_unix=NOW)
        assert texts(store.lines(EVERYTHING)) == ["young"]
        assert texts(store.activities(EVERYTHING)) == []


# ---------------------------------------------------------------- files


def test_it_survives_and_numbers_go_on(tmp_path):
    with closing(Store.open(tmp_path / "b", MONTH, now_unix=NOW)) as store:
        store.add([line("first")])
    with closing(Store.open(tmp_path / "b", MONTH, now_unix=NOW)) as store:
        store.add([line("second")])
        page = store.lines(EVERYTHING)
    assert texts(page) == ["first", "second"]
    assert numbers(page) == sorted(set(numbers(page)))


def test_numbers_grow_from_one_book_to_the_next():
    with closing(Store.open(None, MONTH, now_unix=NOW)) as store:
        store.add([line(str(number)) for number in range(500)])
        last = store.lines(Query()).newest
    with closing(Store.open(None, MONTH, now_unix=NOW + 1)) as store:
        store.add([line("new")])
        assert texts(store.lines(Query(after=last))) == ["new"]


def test_numbers_are_exact_in_json():
    with closing(Store.open(None, MONTH, now_unix=NOW)) as store:
        store.add([line()])
        assert store.lines(Query()).newest < 2**53


def test_nobody_else_can_open_it(tmp_path):
    with closing(Store.open(tmp_path / "b", MONTH, now_unix=NOW)), pytest.raises(sqlite3.OperationalError):
        Store.open(tmp_path / "b", MONTH, now_unix=NOW)


def database(path, *statements):
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (("CREATE TABLE recipes (cake)",), "something else"),
        ((f"PRAGMA application_id = {APPLICATION}", f"PRAGMA user_version = {VERSION + 1}"), "later gateway"),
    ],
)
def test_somebody_elses_file_is_left_as_it_is(tmp_path, statements, says):
    database(tmp_path / "b", *statements)
    with pytest.raises(StrangerError, match=says):
        Store.open(tmp_path / "b", MONTH, now_unix=NOW)
    with closing(sqlite3.connect(tmp_path / "b")) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert names <= {"recipes"}


def test_a_broken_page_is_found_when_it_is_opened(tmp_path):
    with closing(Store.open(tmp_path / "b", MONTH, now_unix=NOW)) as store:
        store.add([line("x" * 1000) for _ in range(100)])
    data = bytearray((tmp_path / "b").read_bytes())
    data[5 * 4096 : 6 * 4096] = b"\xff" * 4096
    (tmp_path / "b").write_bytes(data)
    with pytest.raises((DamagedError, sqlite3.DatabaseError)):
        Store.open(tmp_path / "b", MONTH, now_unix=NOW)


def test_all_of_a_batch_is_added_or_none(store):
    with pytest.raises(sqlite3.IntegrityError):
        store.add([line("good"), activity(by=None)])
    store.add([line("later")])
    assert texts(store.lines(EVERYTHING)) == ["later"]
