"""When which probe of one tunnel is asked: pure but for its memory, `now` is an argument.

    CALM ── unanswered for long enough, or failed at once, or traffic says so ──▶ SUSPECT
    SUSPECT ── an answer ──▶ CALM                      asked every `fast_interval`, with what regularity allows besides
            ── `down_after` + `timeout` without one ──▶ SPENT
    SPENT ── an answer ──▶ CALM                        asked regularly again: more haste would tell nothing new

Regular probes are spread evenly over the interval, each at a place of its own in it, so that a thousand of them are no
burst. New ones are asked at once: a start is to be quick. What is not answered is doubted before it has failed, and
asked again and again meanwhile, overlapping, so that silence is certain when the first has failed; so are a few others
of the tunnel, once, for it may be the tunnel and not the target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from math import floor, inf
from typing import Final

from gateway.model import HealthSettings

REGULAR_MOST: Final = 50  # regular probes in any one second
FAST_MOST: Final = 200  # fast ones in a second, of all that are suspect together
COMPANIONS: Final = 3  # others of the tunnel that are asked when one becomes suspect
PATIENCE_TIMES: Final = 2.0  # so many times what an answer usually takes is waited for, if that is more
AGAIN_AFTER: Final = 10.0  # seconds before traffic can have a spent target asked fast again
_SMOOTHING: Final = 0.125  # of answering times, as TCP does it (RFC 6298)


class Standing(Enum):
    """How one probed thing is looked at."""

    CALM = "calm"
    SUSPECT = "suspect"
    SPENT = "spent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What is to be done now: `ask` these, by label and number; say that these are `doubted`, and since when.

    `heard`: a dial that worked then has answered instead of a probe.
    """

    ask: tuple[tuple[str, int], ...] = ()
    doubted: tuple[tuple[str, float], ...] = ()
    heard: tuple[tuple[str, float], ...] = ()


@dataclass(slots=True, kw_only=True)
class _Subject:
    """One thing that is probed. `place` is its moment in the round; None: it is asked only while it is suspect.

    `owed`: answers that a thing without a place is still to give before it is left alone.
    """

    place: float | None
    due: float = inf  # its next regular probe
    fast_at: float = inf  # its next fast one
    standing: Standing = Standing.CALM
    is_doubted: bool = False
    pending: dict[int, float] = field(default_factory=dict)  # number: when it was sent
    asked_at: float = -inf
    alive_at: float = -inf
    usual: float = 0.0  # seconds that an answer takes, smoothed
    until: float = -inf  # end of the present or last time of haste
    owed: int = 0


class Cadence:
    """The probes of one tunnel, by label. Whoever asks tells it what came of each, and calls `turn` at `next_due`."""

    def __init__(self, settings: HealthSettings) -> None:
        self._settings = settings
        self._period = settings.interval
        self._subjects: dict[str, _Subject] = {}
        self._suspects: set[str] = set()
        self._numbers = count(1)
        self._fresh: deque[str] = deque()  # never asked so far
        self._companions: deque[str] = deque()  # to be asked once, at once
        # Heaps of moments; what is not true any more is dropped when it comes to the top.
        self._regular: list[tuple[float, str]] = []
        self._fast: list[tuple[float, str]] = []
        self._awaited: list[tuple[float, int, str]] = []
        self._starts: deque[float] = deque(maxlen=REGULAR_MOST)
        self._regular_free_at = -inf  # not before, so that a backlog is worked off evenly
        self._fast_free_at = -inf
        self._excused_until = -inf

    # ------------------------------------------------------------ what is to be probed, and what is known of it

    def plan(self, aims: Sequence[str], targets: Sequence[str], now: float) -> None:
        """Probe `aims` in turn from now on, and `targets` while they are suspect. The rest is forgotten."""
        known, self._subjects = self._subjects, {}
        self._period = max(self._settings.interval, len(aims) / REGULAR_MOST)
        self._fresh.clear()
        self._regular.clear()
        for position, label in enumerate(aims, 1):
            subject = self._subjects[label] = known.get(label) or _Subject(place=now)
            subject.place, subject.due = now + position * self._period / len(aims), inf
            if subject.asked_at == -inf:
                self._fresh.append(label)
            else:
                self._enlist(label, subject, min(subject.place, max(now, subject.asked_at + self._period)))
        for label in targets:
            if label in self._subjects:
                continue
            subject = self._subjects[label] = known.get(label) or _Subject(place=None)
            subject.place, subject.due = None, inf
            if subject.owed:
                self._enlist(label, subject, max(now, subject.asked_at + self._period))
        self._suspects &= self._subjects.keys()

    def standing(self, label: str) -> Standing | None:
        """How it is looked at; None: it is not known."""
        subject = self._subjects.get(label)
        return None if subject is None else subject.standing

    def unanswered(self, label: str) -> int:
        """How many of its probes are under way that were sent since it last answered."""
        subject = self._subjects.get(label)
        return 0 if subject is None else sum(sent_at >= subject.alive_at for sent_at in subject.pending.values())

    # ------------------------------------------------------------ what is to be done

    def next_due(self) -> float:
        """When `turn` has something to do; infinity: not before something else happens. It may be past already."""
        return min(self._regular_due(), self._fast_due(), self._doubt_due())

    def is_doubtful(self, now: float) -> bool:
        """Whether `turn` would doubt something. So first see whether an answer is here, and not looked at yet."""
        return self._doubt_due() <= now

    def excuse(self, now: float, late: float) -> None:
        """We were late by `late` seconds. That is no evidence: nothing is doubted for as long."""
        self._excused_until = max(self._excused_until, now + late)

    def turn(self, now: float, dialled: Callable[[str], float]) -> Turn:
        """What is due. The probes to ask are taken for sent at `now`.

        `dialled`: when last a dial of what a label stands for worked; minus infinity: never, or that would not do.
        """
        doubted = self._doubt(now)
        hasty = self._hasten(now)
        regular, heard = self._go_round(now, dialled)
        return Turn(ask=(*hasty, *regular), doubted=tuple(doubted), heard=tuple(heard))

    # ------------------------------------------------------------ what came of it

    def answered(self, label: str, number: int, sent_at: float, at: float) -> None:
        """An answer came at `at` to the probe that was sent at `sent_at`."""
        subject = self._subjects.get(label)
        if subject is None:
            return
        subject.pending.pop(number, None)
        took = at - sent_at
        subject.usual = subject.usual + _SMOOTHING * (took - subject.usual) if subject.usual else took
        self._calm(label, subject, at)
        if subject.owed:
            subject.owed -= 1
            if subject.owed and subject.due == inf:
                self._enlist(label, subject, at + self._period)

    def failed(self, label: str, number: int, now: float) -> float | None:
        """The probe failed, at its deadline or at once. Since when its label is doubted therefore; None: no news."""
        subject = self._subjects.get(label)
        sent_at = None if subject is None else subject.pending.pop(number, None)
        if subject is None or sent_at is None or subject.alive_at >= sent_at:
            return None  # or something else has answered since
        if subject.place is None:
            subject.owed = self._settings.rise
        if subject.is_doubted or subject.standing is Standing.SPENT:
            return None
        subject.is_doubted = True
        self._begin_haste(label, subject, sent_at, now)
        return sent_at

    def withdrawn(self, label: str, number: int) -> None:
        """The probe says nothing, for trouble of our own."""
        subject = self._subjects.get(label)
        if subject is not None:
            subject.pending.pop(number, None)

    def suspect(self, label: str, since: float, now: float) -> None:
        """Traffic to what `label` stands for looks bad since `since`: ask fast, without waiting for its turn.

        Not if it has answered since, nor if it has just been asked: a thousand dials may say the same.
        """
        subject = self._subjects.get(label)
        if subject is None or subject.alive_at > since or now < subject.asked_at + self._settings.suspect_after:
            return
        if subject.standing is Standing.SPENT and now < subject.until + AGAIN_AFTER:
            return
        if subject.place is None:
            subject.owed = self._settings.rise
        if subject.standing is Standing.SPENT:
            subject.is_doubted = False
        self._begin_haste(label, subject, now, now)

    # ------------------------------------------------------------ doubt and haste

    def _begin_haste(self, label: str, subject: _Subject, first: float, now: float) -> None:
        """Ask fast, until an answer or the end of what `first` began; and ask others whether it is the tunnel."""
        if subject.standing is Standing.SUSPECT:
            return
        subject.standing = Standing.SUSPECT
        subject.until = first + self._settings.down_after + self._settings.timeout
        subject.fast_at = now
        heappush(self._fast, (now, label))
        self._suspects.add(label)
        wanted = COMPANIONS + 1 - len(self._suspects) - len(self._companions)
        for _, other in self._regular[: 4 * COMPANIONS]:  # a heap begins with those that are due soonest
            if wanted <= 0:
                return
            companion = self._subjects.get(other)
            if companion is None or companion.standing is not Standing.CALM or companion.pending:
                continue
            if other not in self._companions:
                self._companions.append(other)
                wanted -= 1

    def _calm(self, label: str, subject: _Subject, at: float) -> None:
        subject.alive_at = max(subject.alive_at, at)
        subject.standing = Standing.CALM
        subject.is_doubted = False
        self._suspects.discard(label)

    def _doubt_due(self) -> float:
        while self._awaited:
            at, number, label = self._awaited[0]
            subject = self._subjects.get(label)
            if subject is not None and not subject.is_doubted and subject.standing is not Standing.SPENT:
                sent_at = subject.pending.get(number)
                if sent_at is not None and subject.alive_at < sent_at:
                    return max(at, self._excused_until)
            heappop(self._awaited)
        return inf

    def _doubt(self, now: float) -> list[tuple[str, float]]:
        doubted = []
        while self._doubt_due() <= now:
            _, number, label = heappop(self._awaited)
            subject = self._subjects[label]
            sent_at = subject.pending[number]
            subject.is_doubted = True
            doubted.append((label, sent_at))
            self._begin_haste(label, subject, sent_at, now)
        return doubted

    def _fast_due(self) -> float:
        if self._companions:
            return self._fast_free_at
        while self._fast:
            at, label = self._fast[0]
            subject = self._subjects.get(label)
            if subject is not None and subject.standing is Standing.SUSPECT and subject.fast_at == at:
                return max(at, self._fast_free_at)
            heappop(self._fast)
        return inf

    def _hasten(self, now: float) -> list[tuple[str, int]]:
        """The fast probes that are due; who has waited longest comes first."""
        asked = []
        while self._fast_due() <= now:
            label = self._companions.popleft() if self._companions else heappop(self._fast)[1]
            subject = self._subjects.get(label)
            if subject is None:
                continue
            if subject.standing is Standing.SUSPECT:
                if now >= subject.until:
                    self._give_up(label, subject, now)
                    continue
                subject.fast_at = now + self._settings.fast_interval
                heappush(self._fast, (subject.fast_at, label))
            asked.append(self._ask(label, subject, now))
            self._fast_free_at = now + 1 / FAST_MOST
        return asked

    def _give_up(self, label: str, subject: _Subject, now: float) -> None:
        """The verdict is out: from here on it is asked as regularly as others."""
        subject.standing = Standing.SPENT
        self._suspects.discard(label)
        if subject.place is None:
            self._enlist(label, subject, now + self._period)

    # ------------------------------------------------------------ the round

    def _regular_due(self) -> float:
        allowed_at = self._starts[0] + 1.0 if len(self._starts) == REGULAR_MOST else -inf
        if self._fresh:
            return allowed_at
        while self._regular:
            due, label = self._regular[0]
            subject = self._subjects.get(label)
            if subject is not None and subject.due == due:
                return max(due, allowed_at, self._regular_free_at)
            heappop(self._regular)
        return inf

    def _go_round(
        self, now: float, dialled: Callable[[str], float]
    ) -> tuple[list[tuple[str, int]], list[tuple[str, float]]]:
        """The regular probes that are due, and the dials that worked and so replace some."""
        asked, heard = [], []
        while self._regular_due() <= now:
            label = self._fresh.popleft() if self._fresh else heappop(self._regular)[1]
            subject = self._subjects[label]
            subject.due = inf
            if subject.place is None and not subject.owed:
                continue
            if subject.standing is Standing.SUSPECT:  # fast ones stand in
                self._enlist_next(label, subject, now)
                continue
            dialled_at = dialled(label)
            if dialled_at > max(now - self._settings.interval, subject.asked_at):
                heard.append((label, dialled_at))
                self._calm(label, subject, dialled_at)
                self._enlist(label, subject, max(now, dialled_at + self._period))
                continue
            asked.append(self._ask(label, subject, now))
            self._starts.append(now)
            self._regular_free_at = max(self._regular_free_at, now - 1 / REGULAR_MOST) + 1 / REGULAR_MOST
            self._enlist_next(label, subject, now)
        return asked, heard

    def _ask(self, label: str, subject: _Subject, now: float) -> tuple[str, int]:
        number = next(self._numbers)
        subject.pending[number] = now
        subject.asked_at = now
        patience = max(self._settings.suspect_after, PATIENCE_TIMES * subject.usual)
        heappush(self._awaited, (now + patience, number, label))
        return label, number

    def _enlist_next(self, label: str, subject: _Subject, now: float) -> None:
        """Have it asked at its next place in the round; what has none, only as long as it owes answers."""
        if subject.place is not None:
            rounds = floor((now - subject.place) / self._period) + 1
            due = subject.place + rounds * self._period
            self._enlist(label, subject, due if due > now else due + self._period)  # floor may miss by a rounding
        elif subject.owed:
            self._enlist(label, subject, now + self._period)

    def _enlist(self, label: str, subject: _Subject, due: float) -> None:
        subject.due = due
        heappush(self._regular, (due, label))
