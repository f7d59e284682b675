"""What the throttle lets pass, and how it counts what it withheld."""

from gateway.observe.throttle import Throttle


def test_the_first_passes_at_once():
    assert Throttle(seconds=1.0).passes("a", now=0.0) == 1


def test_the_next_one_tells_of_those_withheld():
    throttle = Throttle(seconds=1.0)
    told = [throttle.passes("a", now) for now in (10.0, 10.1, 10.9, 11.0, 11.5, 12.0)]
    assert told == [1, None, None, 3, None, 2]


def test_keys_do_not_disturb_one_another():
    throttle = Throttle(seconds=1.0)
    assert [throttle.passes(key, now=0.0) for key in ("a", "b", "a")] == [1, 1, None]
