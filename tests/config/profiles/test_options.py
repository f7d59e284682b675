from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.config.profiles import options
from gateway.config.profiles.options import VERDICTS, Fate, parse_option, verdict

REFUSED = {
    "up": "it runs a program",
    "down": "it runs a program",
    "route-up": "it runs a program",
    "ipchange": "it runs a program",
    "tls-verify": "it runs a program",
    "client-connect": "it runs a program",
    "iproute": "it runs a program",
    "plugin": "it loads code",
    "engine": "it loads code",
    "management": "the gateway alone drives the client",
    "management-hold": "the gateway alone drives the client",
    "log": "it writes a file",
    "log-append": "it writes a file",
    "writepid": "it writes a file",
    "status": "it writes a file",
    "daemon": "how the client runs as a process",
    "chroot": "how the client runs as a process",
    "user": "how the client runs as a process",
    "group": "how the client runs as a process",
    "cd": "how the client runs as a process",
    "config": "it reads another file",
    "server": "it is for servers",
    "capath": "it names a directory",
    "http-proxy": "there is no way to a server through a proxy",
}


@pytest.mark.parametrize(("name", "why"), REFUSED.items())
def test_what_is_dangerous_is_refused_by_name_and_with_its_reason(name, why):
    fate, reason = verdict(name)
    assert fate is Fate.REFUSED
    assert reason.startswith(f"refused: {why}")


def test_each_option_has_one_verdict():
    written = [name for group in options._GROUPS for name in group.names.split()]
    assert len(written) == len(set(written)) == len(VERDICTS)


def test_an_option_that_nobody_has_thought_about():
    assert verdict("mssfx") == (Fate.UNKNOWN, 'refused: it is not known here: did you mean "mssfix"?')
    assert verdict("frobnicate").why.startswith("refused: it is not known here: known are auth, cipher, ")


@pytest.mark.skipif(shutil.which("openvpn") is None, reason="openvpn is not installed")
def test_what_is_passed_on_is_known_to_openvpn():
    content = Path(str(shutil.which("openvpn"))).read_bytes()
    passed = [name for name, (fate, _) in VERDICTS.items() if fate in {Fate.PASSED, Fate.FILE, Fate.SECRET_FILE}]
    assert [name for name in passed if name.encode() + b"\0" not in content] == []


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("mssfix 1300", "mssfix 1300"),
        ("--tls-version-min   1.2  # comment", "tls-version-min 1.2"),
        ('verify-x509-name "C=DE, CN=my server" subject', 'verify-x509-name "C=DE, CN=my server" subject'),
        ("pull-filter ignore ifconfig-ipv6", "pull-filter ignore ifconfig-ipv6"),
    ],
)
def test_a_further_option(text, option):
    assert parse_option(text) == option


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must be an option"),
        ("# nothing", "must be an option"),
        ("up /bin/sh", "refused: it runs a program"),
        ("mssfix 1300\nup /bin/sh", "a control character"),
        ("ping 10", "refused: the gateway notices a dead tunnel"),
        ("route 10.0.0.0 255.0.0.0", "refused: the gateway adds the routes"),
        ("ca ca.crt", "refused: it has a key of its own"),
        ("remote 10.0.0.1", "refused: it has a key of its own"),
        ("pull-filter accept route", "refused: pull-filter may only ignore"),
        ("mssfx 1300", 'refused: it is not known here: did you mean "mssfix"'),
        ('mssfix "1300', "not closed"),
    ],
)
def test_no_further_option(text, why):
    with pytest.raises(ValueError, match=why):
        parse_option(text)
