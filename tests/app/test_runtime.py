from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.app import runtime
from gateway.app.runtime import runtime_directory


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the place of /run/gateway, and nothing of it there yet."""
    monkeypatch.setattr(runtime, "SYSTEM", Path("gateway"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "gateway"


def test_it_is_private_and_gone_afterwards(system: Path):
    with runtime_directory(uid=0, env={}) as path:
        assert path.parent == Path("gateway")
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(system.stat().st_mode) == 0o700
        (path / "zone-a").mkdir()
        (path / "zone-a" / "socket").touch()
    assert list(system.iterdir()) == []


def test_a_dead_gateways_is_removed_and_a_living_ones_is_not(system: Path):
    dead = system / "vpn-dead"
    dead.mkdir(parents=True)
    (dead / "socket").touch()
    (system / "control.sock").touch()
    with runtime_directory(uid=0, env={}) as living, runtime_directory(uid=0, env={}) as another:
        assert living != another
        assert living.is_dir()
        assert not dead.exists()
    assert [each.name for each in system.iterdir()] == ["control.sock"]


@pytest.mark.parametrize("moment", ["it is opened", "it is locked"])
def test_one_that_another_gateway_took_for_a_dead_ones_is_made_again(
    system: Path, monkeypatch: pytest.MonkeyPatch, moment: str
):
    """Another one starts just then, and finds it without a lock."""
    where, name = {"it is opened": (runtime.os, "open"), "it is locked": (runtime.fcntl, "flock")}[moment]
    usual, taken = getattr(where, name), []

    def taken_before(*args: object) -> object:
        if not taken:
            (path,) = system.glob("vpn-*")
            taken.append(path.name)
            path.rmdir()
        return usual(*args)

    monkeypatch.setattr(where, name, taken_before)
    with runtime_directory(uid=0, env={}) as path:
        assert path.is_dir()
        assert path.name not in taken
        runtime._tidy(path.parent)
        assert path.is_dir(), "it is locked"


def test_a_user_has_it_in_a_place_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with runtime_directory(uid=1000, env={"XDG_RUNTIME_DIR": "run"}) as path:
        assert path.parent == Path("run/gateway")


@pytest.mark.parametrize("env", [{}, {"XDG_RUNTIME_DIR": "/proc/nowhere"}, {"XDG_RUNTIME_DIR": "/" + "x" * 100}])
def test_elsewhere_it_is_among_temporary_files(env: dict[str, str]):
    with runtime_directory(uid=1000, env=env) as path:
        assert path.name.startswith("gateway-vpn-")
        assert len(str(path)) < 48
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert not path.exists()
