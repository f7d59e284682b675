from pathlib import Path

import pytest

from gateway.admin.places import default_socket


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
