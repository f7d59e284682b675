"""Labs for tests. `lab` is built when the first test asks for it, and shared; every test finds it as good as new.

Tests that need a lab carry the mark `lab`. Where none can be had they are skipped, with the reason; on CI
(`CI=true`) they fail instead: a skipped proof is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab import prerequisites
from tests.lab.lab import Lab


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") is None:
        return
    if lacking := prerequisites.missing():
        reason = "the lab needs " + ", ".join(lacking)
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[Lab]:
    """One lab with OpenVPN at both sites for the whole run. Tests use `lab`."""
    with Lab("openvpn") as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The shared lab; whatever a test did to it is healed afterwards."""
    yield shared_lab
    shared_lab.heal()


@pytest.fixture(scope="session")
def shared_empty_lab() -> Iterator[Lab]:
    """One lab without VPNs for the whole run. Tests use `empty_lab`."""
    with Lab() as lab:
        yield lab


@pytest.fixture
def empty_lab(shared_empty_lab: Lab) -> Iterator[Lab]:
    """A shared lab in which tests serve VPNs of their own, each with the client they are about: `Lab.serving`."""
    yield shared_empty_lab
    shared_empty_lab.heal()
