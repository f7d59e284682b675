"""Each test is a story: what was read at which second, and from when on the peer is lost."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tunnels.wireguard import vitals
from gateway.tunnels.wireguard.device import Reading
from gateway.tunnels.wireguard.vitals import Vitals

INITIATION = 148  # bytes
RESPONSE = 92
KEEPALIVE = 32
DATA = 128  # a small packet of TCP
SHAKEN = 1_700_000_000.0  # Unix time
END = 1000


@dataclass
class Peer:
    """A device, read each second: `sends` and `hears` are bytes by second, `shakes` the seconds of handshakes."""

    sends: dict[int, int]
    hears: dict[int, int]
    shakes: tuple[int, ...] = ()
    tries: tuple[int, ...] = ()  # seconds in which the device says that it tries a handshake
    keepalive: int = 0

    def until_lost(self, end: int = END) -> int | None:
        """The second in which it is lost; None: not until the end."""
        for second, found in self.looks(end):
            if vitals.lost(found, second) is not None:
                return second
        return None

    def looks(self, end: int):
        reading = Reading(handshake=SHAKEN, transmitted=INITIATION + KEEPALIVE, received=RESPONSE)
        found = vitals.met(reading, 0.0)
        for second in range(1, end):
            if second in self.tries:
                found = vitals.tried(found)
            reading = Reading(
                handshake=SHAKEN + max((each for each in self.shakes if each <= second), default=0),
                transmitted=reading.transmitted + self.sends.get(second, 0),
                received=reading.received + self.hears.get(second, 0),
            )
            found = vitals.looked(found, reading, second, keepalive=self.keepalive)
            yield second, found


def every(step: int, amount: int, *, start: int = 1, end: int = END) -> dict[int, int]:
    return dict.fromkeys(range(start, end, step), amount)


STORIES = [
    pytest.param(Peer({}, {}), None, id="idle, without a keepalive, its session long over"),
    pytest.param(Peer(every(25, KEEPALIVE), {}, keepalive=25), None, id="idle, its keepalives never answered"),
    pytest.param(Peer(every(1, KEEPALIVE), {}, keepalive=1), None, id="idle, a keepalive each second"),
    pytest.param(Peer(every(10, DATA), every(10, DATA, start=2)), None, id="questions, answers"),
    pytest.param(
        Peer(every(30, DATA), every(30, KEEPALIVE, start=11)), None, id="data one way, acknowledged after 10 s"
    ),
    pytest.param(Peer({}, every(7, DATA)), None, id="data from the peer only"),
    pytest.param(
        Peer({11: KEEPALIVE, 21: KEEPALIVE}, {1: DATA, 5: DATA}), None, id="our own answers to data are not answered"
    ),
    pytest.param(Peer({100: DATA}, {}), 130, id="data unanswered: 15 s until a handshake, three tries of it"),
    pytest.param(Peer({200: DATA}, {}), 215, id="data unanswered, without a session: a handshake at once"),
    pytest.param(
        Peer({100: DATA, 115: INITIATION}, {116: RESPONSE}, shakes=(116,)),
        None,
        id="the server was restarted, and is back",
    ),
    pytest.param(
        Peer({100: DATA, 115: INITIATION, 120: INITIATION, 125: INITIATION}, {126: RESPONSE}, shakes=(126,)),
        None,
        id="it is back after the third try",
    ),
    pytest.param(
        Peer({**every(25, KEEPALIVE, end=126), **every(5, INITIATION, start=126)}, {}, keepalive=25),
        156,
        id="with a keepalive: the handshake that renews the session gets no answer",
    ),
    pytest.param(
        Peer(every(5, INITIATION, start=126), {}, tries=(126, 131, 136, 141), keepalive=25),
        141,
        id="the device says so itself",
    ),
    pytest.param(
        Peer({}, every(4, DATA), tries=(126, 131, 136, 141)), None, id="handshakes fail, and still the peer is heard"
    ),
    pytest.param(Peer({}, {}, tries=(10, 15, 20, 25)), 25, id="nothing could be sent at all, as the device says"),
    pytest.param(Peer(every(1, DATA, start=10), every(1, DATA, end=50)), 80, id="a busy tunnel falls silent"),
]


@pytest.mark.parametrize(("peer", "second"), STORIES)
def test_lost_or_not(peer, second):
    assert peer.until_lost() == second


def test_it_says_how_that_shows():
    silent = Peer({100: DATA}, {90: DATA})
    *_, (_, found) = silent.looks(131)
    assert vitals.lost(found, 130) == "nothing came for 40 s, though something was sent 30 s ago that wants an answer"
    *_, (_, found) = Peer({}, {90: DATA}, tries=(100, 105, 110, 115)).looks(116)
    assert vitals.lost(found, 115) == "nothing came for 25 s, and 3 handshakes in a row got no answer"


def test_it_struggles_from_the_first_try_that_is_not_answered():
    story = Peer({100: DATA}, {})
    assert [second for second, found in story.looks(140) if vitals.struggles(found, second)] == [*range(115, 140)]
    story = Peer({100: DATA}, {110: DATA}, tries=(100, 105))
    assert [second for second, found in story.looks(140) if vitals.struggles(found, second)] == [*range(105, 110)]


@given(
    keepalive=st.integers(1, 200),
    gaps=st.lists(st.floats(0.9, 1.6), min_size=1, max_size=60),
    passive=st.integers(0, 2),
)
def test_keepalives_alone_never_want_an_answer(keepalive, gaps, passive):
    reading = Reading(handshake=SHAKEN, transmitted=1000, received=RESPONSE)
    found: Vitals = vitals.met(reading, 0.0)
    now = 0.0
    for gap in gaps:
        now += gap
        sent = (int(now / keepalive) + passive) * KEEPALIVE
        reading = Reading(handshake=SHAKEN, transmitted=1000 + sent, received=RESPONSE)
        found = vitals.looked(found, reading, now, keepalive=keepalive)
        assert found.asked_at is None


@given(keepalive=st.integers(0, 200), quiet=st.integers(1, 170))
def test_a_handshake_always_wants_one(keepalive, quiet):
    """However many keepalives there might have been: all that were due were sent before."""
    story = Peer(
        {**(every(keepalive, KEEPALIVE, start=keepalive, end=quiet) if keepalive else {}), quiet: INITIATION},
        {},
        keepalive=keepalive,
    )
    *_, (_, found) = story.looks(quiet + 1)
    assert found.asked_at == quiet
