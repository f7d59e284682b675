from __future__ import annotations

import pytest

from tests.lab.commands import run
from tests.lab.errors import CommandError
from tests.lab.pki import CLIENT, ELSEWHERE, Certified, Pki
from tests.lab.topology import Site

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


def _verify(ca, identity, *words):
    return run(["openssl", "verify", *words, "-CAfile", str(ca), str(identity.certificate)])


@pytest.mark.parametrize("site", list(Site))
def test_a_server_is_certified_by_name_and_address(pki, site):
    for words in (("-verify_hostname", site.role), ("-verify_ip", site.far)):
        assert _verify(pki.ca, pki.server(site), "-purpose", "sslserver", *words).endswith("OK\n")


@pytest.mark.parametrize("holder", [lambda pki, how: pki.server(Site.B, how), lambda pki, how: pki.client(how)])
def test_each_wrong_certificate_is_wrong_in_one_respect(pki, holder):
    with pytest.raises(CommandError, match="expired"):
        _verify(pki.ca, holder(pki, Certified.EXPIRED))
    assert _verify(pki.ca, holder(pki, Certified.EXPIRED), "-no_check_time").endswith("OK\n")

    with pytest.raises(CommandError, match="unable to get local issuer"):
        _verify(pki.ca, holder(pki, Certified.UNTRUSTED))
    assert _verify(pki.stranger, holder(pki, Certified.UNTRUSTED)).endswith("OK\n")

    assert _verify(pki.ca, holder(pki, Certified.MISNAMED), "-verify_hostname", ELSEWHERE).endswith("OK\n")


def test_an_account_is_there_as_values_and_as_files(pki):
    account = pki.account
    assert account.login.read_text() == f"{account.user}\n{account.password}\n"
    assert account.password_file.read_text() == account.password
    assert account.password not in pki.users.read_text()
    assert account.login.stat().st_mode & 0o077 == account.password_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", [CLIENT, *(site.role for site in Site)])
def test_keys_of_wireguard_are_pairs(pki, name):
    key = pki.wireguard(name)
    assert run(["wg", "pubkey"], text=key.private.read_text()).strip() == key.public
