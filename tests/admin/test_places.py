from pathlib import Path

import pytest

from gateway.admin.places import default_book, default_socket


@pytest.mark.parametrize(
    ("uid", "env", "place"),
    [
        (0, {}, "/run/gateway/control.sock"),
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, "/run/gateway/control.sock"),
        (1000, {"XDG_RUNTIME_DIR": "/run/user/1000"}, "/run/user/1000/gateway/control.sock"),
        (1000, {"XDG_RUNTIME_DIR": ""}, None),
        (1000, {}, None),
    ],
)
def test_the_default_place(uid, env, place):
    assert default_socket(uid=uid, env=env) == (place and Path(place))


@pytest.mark.parametrize(
    ("uid", "env", "place"),
    [
        (0, {"HOME": "/root", "XDG_STATE_HOME": "/x"}, "/var/lib/gateway"),
        (0, {"STATE_DIRECTORY": "/var/lib/vpn:/var/lib/other"}, "/var/lib/vpn"),
        (1000, {"STATE_DIRECTORY": "/var/lib/vpn", "HOME": "/home/it"}, "/var/lib/vpn"),
        (1000, {"XDG_STATE_HOME": "/state", "HOME": "/home/it"}, "/state/gateway"),
        (1000, {"XDG_STATE_HOME": "", "HOME": "/home/it"}, "/home/it/.local/state/gateway"),
        (1000, {"HOME": ""}, None),
        (1000, {}, None),
    ],
)
def test_the_default_place_of_the_book(uid, env, place):
    assert default_book(uid=uid, env=env) == (place and Path(place))
