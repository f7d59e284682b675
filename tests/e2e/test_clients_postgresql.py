"""PostgreSQL's own clients through the gateway: queries, bulk copies both ways, silence, and pgbench."""

from __future__ import annotations

import re
from hashlib import md5

import pytest

from tests.e2e.loopback import LoopbackGateway
from tests.e2e.programs import attempt, run, running
from tests.e2e.servers.postgresql import USER


def connection(loopback: LoopbackGateway, forward: str = "postgresql") -> tuple[object, ...]:
    return ("--host", "127.0.0.1", "--port", loopback.port(forward), "--username", USER)


def psql(loopback: LoopbackGateway, statement: str, *, forward: str = "postgresql", text: str = "") -> str:
    quiet = ("--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set", "ON_ERROR_STOP=1")
    return run("psql", *connection(loopback, forward), *quiet, "--command", statement, USER, text=text)


def test_psql_asks_and_is_answered(loopback, postgresql):
    with loopback.counting("postgresql") as counted:
        assert psql(loopback, "SELECT 6 * 7") == "42\n"
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}
    assert counted.to_target > 0
    assert counted.to_client > 0


def test_an_error_of_the_server_reaches_the_client(loopback, postgresql):
    with loopback.counting("postgresql") as counted:
        refused = attempt("psql", *connection(loopback), "--no-psqlrc", "--command", "SELECT 1 / 0", USER)
    assert refused.status == 1
    assert "division by zero" in refused.err
    assert counted.closed == {"eof": 1}


def test_bulk_copies_arrive_whole_in_both_directions(loopback, postgresql):
    rows = "".join(f"{number}\t{'row ' * 40}{number}\n" for number in range(100_000))
    with loopback.counting("postgresql") as counted:
        psql(loopback, "CREATE TABLE copied (number int PRIMARY KEY, content text)")
        psql(loopback, "COPY copied FROM STDIN", text=rows)
        back = psql(loopback, "COPY (SELECT * FROM copied ORDER BY number) TO STDOUT")
    assert md5(back.encode(), usedforsecurity=False).digest() == md5(rows.encode(), usedforsecurity=False).digest()
    assert counted.results == {"ok": 3}
    assert counted.closed == {"eof": 3}
    assert counted.to_target > len(rows)
    assert counted.to_client > len(rows)


def test_a_connection_that_carries_nothing_for_a_while_goes_on(loopback, postgresql):
    with loopback.counting("quiet") as counted:
        # The wire is silent for three keepalives, and the session is the same afterwards.
        statement = "SELECT pg_backend_pid(); SELECT pg_sleep(3); SELECT pg_backend_pid()"
        first, second = psql(loopback, statement, forward="quiet").split()
    assert first == second
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}


def test_an_idle_time_out_ends_a_silent_connection_and_says_why(loopback, postgresql):
    with loopback.counting("impatient") as counted:
        ended = attempt("psql", *connection(loopback, "impatient"), "--command", "SELECT pg_sleep(20)", USER)
    assert ended.status == 2  # psql: the connection is lost
    assert counted.results == {"ok": 1}
    assert counted.closed == {"idle": 1}


def test_a_psql_that_waits_for_its_user_is_one_session(loopback, postgresql):
    arguments = (*connection(loopback), "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", USER)
    with loopback.counting("postgresql") as counted, running("psql", *arguments) as session:
        answers = []
        for _ in range(3):
            session.stdin.write("SELECT pg_backend_pid();\n")
            answers.append(session.stdout.readline())
            assert psql(loopback, "SELECT 1") == "1\n"  # somebody else comes and goes
        session.stdin.close()
        assert session.wait(10) == 0
    assert answers[0].strip().isdigit()
    assert len(set(answers)) == 1
    assert counted.results == {"ok": 4}
    assert counted.closed == {"eof": 4}


@pytest.fixture(scope="module")
def accounts(loopback, postgresql):
    run("pgbench", *connection(loopback), "--initialize", "--quiet", "--scale", 1, USER)


def pgbench(loopback: LoopbackGateway, *arguments: object) -> int:
    """Run pgbench; how many transactions went well. None may fail."""
    said = run("pgbench", *connection(loopback), "--no-vacuum", *arguments, USER)
    assert re.search(r"number of failed transactions: (\d+)", said)[1] == "0"
    return int(re.search(r"number of transactions actually processed: (\d+)", said)[1])


def test_pgbench_keeps_its_connections(loopback, accounts):
    with loopback.counting("postgresql") as counted:
        assert pgbench(loopback, "--client", 8, "--jobs", 2, "--transactions", 200) == 1600
    assert counted.results == {"ok": 9}  # one more looks at the tables first
    assert counted.closed == {"eof": 9}


def test_pgbench_connects_for_each_transaction(loopback, accounts):
    with loopback.counting("postgresql") as counted:
        assert pgbench(loopback, "--client", 8, "--connect", "--select-only", "--transactions", 25) == 200
    assert set(counted.results) == {"ok"}
    assert counted.results["ok"] >= 200
    assert counted.closed == {"eof": counted.results["ok"]}
