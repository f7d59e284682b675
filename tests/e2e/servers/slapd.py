"""A real slapd with a small directory: `PEOPLE` entries below ou=people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.programs import program, run
from tests.e2e.servers.process import accepts, server
from tests.lab.processes import mortal

SUFFIX = "dc=example,dc=org"
ADMIN = f"cn=admin,{SUFFIX}"
PASSWORD = "directory"  # of a directory that lives for seconds
PEOPLE = 500

_CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {directory}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
sizelimit unlimited
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw {password}
directory {directory}/data
index objectClass,uid eq
"""

_ROOT = f"""dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people
"""


def person(number: int) -> str:
    """The LDIF of one person."""
    return (
        f"dn: uid=user{number},ou=people,{SUFFIX}\nobjectClass: inetOrgPerson\nuid: user{number}\n"
        f"cn: User {number}\nsn: {number}\nmail: user{number}@example.org\ndescription: {'x' * 400}\n"
    )


@contextmanager
def slapd(directory: Path, port: int) -> Iterator[int]:
    """slapd on `port` of 127.0.0.1, which it gives back; configuration and data are in `directory`."""
    (directory / "data").mkdir()
    configuration = directory / "slapd.conf"
    configuration.write_text(_CONFIGURATION.format(directory=directory, suffix=SUFFIX, admin=ADMIN, password=PASSWORD))
    run("slapadd", "-q", "-f", configuration, text="\n".join([_ROOT, *map(person, range(PEOPLE))]))
    argv = mortal([program("slapd"), "-d", "0", "-f", str(configuration), "-h", f"ldap://127.0.0.1:{port}"])
    with server(argv, directory / "slapd.log", ready=lambda: accepts(port)):
        yield port
