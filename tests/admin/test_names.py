"""What is said of a name that nobody has."""

import pytest

from gateway.admin.names import unknown

MANY = [f"forward-{number}" for number in range(10_000)]


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("zone-x", [], "no tunnel 'zone-x': there is none at all"),
        ("zone-x", ["only"], "no tunnel 'zone-x': there is only"),
        ("zone-c", ["corp", "zone-a", "backup"], "no tunnel 'zone-c': there are zone-a, corp, backup"),
        ("ZONE-A", ["backup", "zone-a"], "no tunnel 'ZONE-A': there are zone-a, backup"),
    ],
)
def test_all_of_few_the_closest_first(name, known, says):
    assert unknown("tunnel", name, known) == says


def test_the_closest_of_many():
    says = unknown("forward", "forward-77x", MANY)
    assert says.startswith("no forward 'forward-77x': there are forward-77")
    assert says.endswith(" and 9990 more")


def test_the_first_of_many_where_none_is_close():
    assert unknown("forward", "?", MANY).startswith("no forward '?': there are forward-0, forward-1, ")
