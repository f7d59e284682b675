from __future__ import annotations

import asyncio
import base64
import datetime as dt

import pytest
from structlog.testing import capture_logs

from gateway.model import Expiry, IpsecAuth, IpsecSpec, OpenVpnSpec, Secret, TunnelKind, TunnelSpec
from gateway.tunnels.certificates import DAY, ExpiryWatch, Standing, standing, until_next
from tests.config.pki import identity

NOW = dt.datetime(2024, 6, 1, tzinfo=dt.UTC)
LONG = identity("Company CA", until=NOW + dt.timedelta(days=1000))
SOON = identity("client", until=NOW + dt.timedelta(days=20, hours=1))
SOONER = identity("Old CA", until=NOW + dt.timedelta(hours=6))
PAST = identity("forgotten", until=NOW - dt.timedelta(days=3))


def _tunnel(name, vpn):
    return TunnelSpec(name=name, kind=TunnelKind.OPENVPN, interface=name, vpn=vpn)


def _expiry(days):
    return Expiry(tunnel="zone-a", certificate="ca", subject="CN=x", expires_at_unix=days * DAY)


@pytest.mark.parametrize(
    ("days", "how"),
    [(31, Standing.GOOD), (30, Standing.ENDING), (0.1, Standing.ENDING), (0, Standing.ENDED), (-9, Standing.ENDED)],
)
def test_how_much_of_its_time_is_left(days, how):
    assert standing(_expiry(100 + days), 100 * DAY) is how


@pytest.mark.parametrize(
    ("days", "wait"), [((), 1.0), ((3, 500), 1.0), ((0.25, 0.5), 0.25), ((-1, 0.5), 0.5), ((-1, 0), 1.0)]
)
def test_they_are_looked_at_each_day_and_when_one_ends(days, wait):
    assert until_next([_expiry(100 + each) for each in days], 100 * DAY) == pytest.approx(wait * DAY)


class Calendar:
    """Time that passes when somebody sleeps; after so many sleeps it is enough."""

    def __init__(self, sleeps: int) -> None:
        self.now = NOW.timestamp()
        self._left = sleeps

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if self._left == 0:
            raise asyncio.CancelledError
        self._left -= 1
        self.now += seconds


async def _said(tunnels, sleeps):
    calendar = Calendar(sleeps)
    watch = ExpiryWatch(tunnels, clock=calendar.clock, sleep=calendar.sleep)
    with capture_logs() as logged, pytest.raises(asyncio.CancelledError):
        await watch.run()
    return logged


async def test_a_certificate_that_ends_soon_is_warned_of_each_day():
    tunnels = [_tunnel("zone-a", OpenVpnSpec(ca=LONG.pem, certificate=SOON.pem, key=Secret(SOON.key)))]
    first, second = await _said(tunnels, 1)
    assert first == {
        "event": "certificate.expiring",
        "log_level": "warning",
        "tunnel": "zone-a",
        "certificate": "client",
        "subject": "CN=client",
        "expires": "2024-06-21T01:00:00+00:00",
        "days": 20,
    }
    assert second == {**first, "days": 19}


async def test_one_that_ends_meanwhile_is_an_error_from_that_moment_on():
    tunnels = [_tunnel("zone-a", OpenVpnSpec(ca=SOONER.pem))]
    logged = await _said(tunnels, 2)
    assert [(each["event"], each["log_level"]) for each in logged] == [
        ("certificate.expiring", "warning"),
        ("certificate.expired", "error"),
        ("certificate.expired", "error"),
    ]
    assert {key: logged[1][key] for key in ("tunnel", "certificate", "subject", "expires")} == {
        "tunnel": "zone-a",
        "certificate": "ca",
        "subject": "CN=Old CA",
        "expires": "2024-06-01T06:00:00+00:00",
    }


async def test_what_lasts_is_not_spoken_of():
    assert await _said([_tunnel("zone-a", OpenVpnSpec(ca=LONG.pem))], 3) == []


def test_every_certificate_of_every_tunnel_is_known_those_of_a_bundle_and_a_protected_file_too():
    packed = Secret(base64.b64encode(SOON.pkcs12("planted", LONG, SOONER)).decode())
    tunnels = [
        _tunnel("zone-a", OpenVpnSpec(ca=LONG.pem + PAST.pem)),
        _tunnel("zone-b", IpsecSpec(auth=IpsecAuth.TLS, pkcs12=packed, pkcs12_password=Secret("planted"))),
        _tunnel("zone-c", IpsecSpec(auth=IpsecAuth.TLS, pkcs12=packed, pkcs12_password=Secret("wrong"), ca=LONG.pem)),
        _tunnel("zone-d", None),
    ]
    assert [(it.tunnel, it.certificate, it.subject) for it in ExpiryWatch(tunnels).expiries()] == [
        ("zone-a", "ca", "CN=forgotten"),
        ("zone-b", "ca", "CN=Old CA"),
        ("zone-b", "client", "CN=client"),
        ("zone-c", "ca", "CN=Company CA"),
    ]
