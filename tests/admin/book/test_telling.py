"""Which activities there are in what the rooms say."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.admin.book.activity import ActivityKind
from gateway.admin.book.telling import of_admin, of_configuration, of_drill, of_driver, of_failback, of_failover
from gateway.model import AdminState, DriverState, DriverStatus, Endpoint, Failure, FailureReason
from tests.admin.book.entries import NOW

SERVER = Endpoint("198.51.100.7", 1194)
STOPPED = DriverStatus(tunnel="zone-a", state=DriverState.STOPPED, since=1.0)
CONNECTING = replace(STOPPED, state=DriverState.CONNECTING, server=SERVER, attempts=1)
CONNECTED = replace(CONNECTING, state=DriverState.CONNECTED, addresses=(ip_address("10.8.0.2"),))
FAILURE = Failure(reason=FailureReason.CERTIFICATE_EXPIRED, detail="CN=server", server=SERVER)
FAILED = replace(CONNECTING, state=DriverState.RECONNECTING, failure=FAILURE)
AGAIN = replace(FAILED, failure=replace(FAILURE))
WHY = "certificate_expired (198.51.100.7:1194): CN=server"


@pytest.mark.parametrize(
    ("old", "new", "kind", "detail"),
    [
        (None, CONNECTED, ActivityKind.CONNECTED, "to 198.51.100.7:1194 as 10.8.0.2"),
        (CONNECTING, CONNECTED, ActivityKind.CONNECTED, "to 198.51.100.7:1194 as 10.8.0.2"),
        (FAILED, replace(STOPPED, state=DriverState.CONNECTED), ActivityKind.CONNECTED, ""),
        (CONNECTED, STOPPED, ActivityKind.DISCONNECTED, "as asked"),
        (CONNECTED, FAILED, ActivityKind.DISCONNECTED, WHY),
        (CONNECTING, FAILED, ActivityKind.ATTEMPT_FAILED, WHY),
        (FAILED, AGAIN, ActivityKind.ATTEMPT_FAILED, WHY),
    ],
)
def test_what_is_news_of_a_client(old, new, kind, detail):
    [told] = of_driver(old, new, at_unix=NOW, by="uid 0, pid 1")
    assert (told.at_unix, told.kind, told.tunnel, told.detail, told.by) == (NOW, kind, "zone-a", detail, "uid 0, pid 1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (None, STOPPED),
        (STOPPED, CONNECTING),
        (CONNECTED, replace(CONNECTED, received=5)),
        (FAILED, replace(FAILED, state=DriverState.CONNECTING, attempts=2)),
    ],
)
def test_what_is_none(old, new):
    assert list(of_driver(old, new, at_unix=NOW)) == []


def test_moves_name_forwards_and_of_very_many_the_number():
    move = of_failover("zone-a", "zone-b", "carrier_lost", ["hello", "ldap"], at_unix=NOW)
    assert (move.kind, move.tunnel, move.to_tunnel, move.by) == (ActivityKind.FAILOVER, "zone-a", "zone-b", "gateway")
    assert move.detail == "carrier_lost: hello, ldap"
    assert of_failover("zone-a", "", "probes", ["hello"], at_unix=NOW).to_tunnel is None
    back = of_failback("zone-b", "zone-a", [str(n) for n in range(10_000)], at_unix=NOW, by="uid 0, pid 1")
    assert (back.kind, back.by, back.detail) == (ActivityKind.FAILBACK, "uid 0, pid 1", "0, 1, 2, 3, 4 and 9995 more")


@pytest.mark.parametrize("admin", list(AdminState))
def test_what_an_operator_wants(admin):
    told = of_admin("zone-a", admin, at_unix=NOW, by="uid 0, pid 1")
    assert (told.kind, told.tunnel, told.by) == (ActivityKind.ADMIN, "zone-a", "uid 0, pid 1")
    assert told.detail


def test_drills_and_configurations():
    assert of_drill("zone-a", 2.5, at_unix=NOW, by="x").detail == "taken out by a drill for 2.5 s"
    applied = of_configuration("forwards.toml", at_unix=NOW)
    assert (applied.kind, applied.tunnel, applied.detail) == (ActivityKind.CONFIG_APPLIED, None, "forwards.toml")
