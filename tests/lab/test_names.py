from __future__ import annotations

from tests.lab.names import Role, namespace_name, new_name


def test_every_lab_has_a_name_of_its_own():
    assert len({new_name() for _ in range(1000)}) == 1000


def test_a_namespace_is_named_by_its_lab_and_role():
    assert namespace_name("glab-1", Role.SITE_A) == "glab-1-site-a"


def test_socket_paths_fit_into_what_the_kernel_takes():
    assert len(f"/run/gateway-lab/{new_name()}/sock/{'x' * 60}") < 108
