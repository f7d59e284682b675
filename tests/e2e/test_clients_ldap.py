"""OpenLDAP's clients through the gateway: searches, many on one connection, a long answer, and a change."""

from __future__ import annotations

from tests.e2e.loopback import LoopbackGateway
from tests.e2e.programs import attempt, run
from tests.e2e.servers.slapd import ADMIN, PASSWORD, PEOPLE, SUFFIX, person


def connection(loopback: LoopbackGateway) -> tuple[str, ...]:
    return ("-H", f"ldap://127.0.0.1:{loopback.port('ldap')}", "-x")


def search(loopback: LoopbackGateway, *arguments: object, text: str = "") -> list[str]:
    """The lines of ldapsearch's answer, without comments."""
    plain = ("-LLL", "-o", "ldif-wrap=no", "-b", SUFFIX)
    return run("ldapsearch", *connection(loopback), *plain, *arguments, text=text).splitlines()


def test_a_person_is_found(loopback, slapd):
    with loopback.counting("ldap") as counted:
        found = search(loopback, "(uid=user7)", "mail")
    assert found == [f"dn: uid=user7,ou=people,{SUFFIX}", "mail: user7@example.org", ""]
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}


def test_a_long_answer_is_complete(loopback, slapd):
    with loopback.counting("ldap") as counted:
        found = search(loopback, "(objectClass=inetOrgPerson)")
    people = [line for line in found if line.startswith("uid: ")]
    assert people == [f"uid: user{number}" for number in range(PEOPLE)]
    assert counted.results == {"ok": 1}
    assert counted.to_client > PEOPLE * 400  # each has a description of that length


def test_many_searches_share_one_connection(loopback, slapd):
    names = "".join(f"user{number}\n" for number in range(200))
    with loopback.counting("ldap") as counted:
        found = search(loopback, "-f", "-", "(uid=%s)", "uid", text=names)
    assert [line for line in found if line.startswith("uid: ")] == [f"uid: user{number}" for number in range(200)]
    assert counted.results == {"ok": 1}
    assert counted.closed == {"eof": 1}


def test_a_long_answer_is_read_page_by_page(loopback, slapd):
    with loopback.counting("ldap") as counted:
        found = search(loopback, "-E", "pr=50/noprompt", "(objectClass=inetOrgPerson)", "uid")
    assert sum(line.startswith("uid: ") for line in found) == PEOPLE
    assert counted.results == {"ok": 1}


def test_a_bound_client_adds_a_person(loopback, slapd):
    with loopback.counting("ldap") as counted:
        run("ldapadd", *connection(loopback), "-D", ADMIN, "-w", PASSWORD, text=person(PEOPLE))
        found = search(loopback, f"(uid=user{PEOPLE})", "cn")
    assert found == [f"dn: uid=user{PEOPLE},ou=people,{SUFFIX}", f"cn: User {PEOPLE}", ""]
    assert counted.results == {"ok": 2}
    assert counted.closed == {"eof": 2}


def test_wrong_credentials_are_refused_by_the_server(loopback, slapd):
    with loopback.counting("ldap") as counted:
        refused = attempt("ldapsearch", *connection(loopback), "-D", ADMIN, "-w", "wrong", "-b", SUFFIX)
    assert refused.status == 49  # LDAP_INVALID_CREDENTIALS
    assert counted.results == {"ok": 1}
