from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.lab import prerequisites
from tests.lab.errors import MissingError


def test_all_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda tool, **_path: None if tool in {"nft", "tcpdump"} else tool)
    lacking = prerequisites.missing()
    assert lacking[:3] == ["to be root", "the Debian package nftables", "the Debian package tcpdump"]
    with pytest.raises(MissingError, match="nftables, the Debian package tcpdump"):
        prerequisites.require()


def test_every_package_is_among_those_that_the_tests_install():
    listed = Path(__file__).parents[1].joinpath("requirements-debian.txt").read_text().split()
    assert set(prerequisites.PACKAGES.values()) <= set(listed)


def test_what_is_no_program_has_to_be_there_all_the_same(monkeypatch):
    monkeypatch.setattr(prerequisites, "PACKAGES", {"/nonexistent/plugin.so": "some-plugins", "/": "base-files"})
    assert "the Debian package some-plugins" in prerequisites.missing()
    assert "the Debian package base-files" not in prerequisites.missing()
