"""Things that are alike, counted at every look: do they pile up?

Timers and other resources have no births or ends that anybody notes, so all that is known of them is how many
there are at each look, and what keeps some of them.  One shape judges them all; what is a kind's own, its
strength above all, comes from ``timers`` and ``stock``.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from taskscope.analysis import growth
from taskscope.analysis.first_sight import extended
from taskscope.analysis.onset import Onset
from taskscope.analysis.shown_level import ShownLevel
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import Track
from taskscope.analysis.verdict import judge
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from taskscope.analysis.first_sight import Past
    from taskscope.analysis.growth import Growth
    from taskscope.analysis.resources import Climb
    from taskscope.analysis.verdict import Verdict
    from taskscope.model.vocabulary import Reading
    from taskscope.model.vocabulary import Resource as Supply

T = TypeVar("T")

BIN = 1.0
"""Seconds per bin."""

INSPECT_EVERY = 30.0
"""Seconds for which it stays true what keeps them."""

HALF = 0.5
"""Share of a climb from which a pile explains it."""


@dataclass(frozen=True, slots=True)
class Grown:
    """What is said of a pile that grows.

    ``past``: of it before it was counted, as far as that is known.  ``takes``: what each of them takes of
    what the process may use up.
    """

    reading: Growth
    verdict: Verdict
    level: Reading
    since: Onset
    past: Past | None
    takes: Mapping[Supply, float]


@dataclass(slots=True)
class Pile(Generic[T]):
    """``first``: as it was at first, at ``since``; ``latest``: at ``now``.

    ``inspected``: when it was last found out what keeps them.
    """

    track: Track
    since: float
    first: T
    latest: T
    now: float = 0.0
    inspected: float = -math.inf
    level: ShownLevel = field(default_factory=ShownLevel)

    def add(self, latest: T, count: int, now: float) -> None:
        """Adds a look."""
        self.latest, self.now = latest, now
        self.track.add(now, count, count, 0)

    @property
    def worth(self) -> bool:
        """Whether it is worth judging."""
        return True

    @property
    def unknown(self) -> bool:
        """Whether it is time to find out what keeps them."""
        return self.now - self.inspected > INSPECT_EVERY

    def judged(
        self,
        strength: Strength,
        started: float,
        *,
        past: Past | None = None,
        takes: Mapping[Supply, float] | None = None,
        born: float | None = None,
    ) -> Grown | None:
        """The verdict; None if it does not grow.  ``born``: when the first of them was made, if known."""
        bins = self.track.bins(self.now)
        past = past if strength >= Strength.PERMANENT else None
        if past is not None:
            bins = extended(bins, past)
        reading = growth.measure(bins, self.now)
        if reading is None:
            return None
        verdict = judge(
            reading,
            None,
            strength,
            uptime=reading.begun - started,
            record=True,
            seen_since=self.since,
        )
        level = _level(verdict, strength)
        self.level.follow(level, self.now, at_once=level == "leak")
        if self.level.shown == "flat":
            return None
        begun = min(max(started, reading.since if born is None else born), reading.since)
        seen = reading.since - self.since > 2 * max(reading.gap, BIN)
        onset = Onset(begun, at_least=born is None and past is None and not seen)
        return Grown(reading, verdict, self.level.shown, onset, past, takes or {})


class Piles(Generic[T]):
    """The piles of one target.  ``started``: the process, in the same seconds as the looks."""

    PILE: ClassVar[type[Pile[Any]]] = Pile

    def __init__(self, started: float) -> None:
        self._started = started
        self._piles: dict[Hashable, Pile[T]] = {}
        self._now = 0.0
        self._looks = 0

    def look(
        self, now: float, rows: Iterable[tuple[Hashable, T, int]], left_out: Callable[[T], bool] | None = None
    ) -> None:
        """Adds a look: each row's key, the row, how many.  ``left_out``: this look does not tell of it."""
        self._now = now
        self._looks += 1
        listed = set()
        for key, row, count in rows:
            listed.add(key)
            if key not in self._piles:
                self._piles[key] = self.PILE(Track(now, BIN, recent=False), now, row, row)
            self._piles[key].add(row, count, now)
        for key in self._piles.keys() - listed:
            if left_out is None or not left_out(self._piles[key].latest):
                del self._piles[key]

    @property
    def growing(self) -> bool:
        """Whether some may pile up, or it is too early to tell."""
        return self._looks < 3 or bool(self._suspected())

    def _suspected(self) -> list[Pile[T]]:
        return [each for each in self._piles.values() if each.worth and each.track.gain > 0]

    def _worth(self) -> Iterable[Pile[T]]:
        return (each for each in self._piles.values() if each.worth)


def _level(verdict: Verdict, strength: Strength) -> Reading:
    """Without a reason why they should stay, nothing is said before it is certain that they do.

    Where there is one why they may not (``Strength.NONE``), that is a suspicion all the same.
    """
    if strength > Strength.NONE:
        return verdict.level
    if strength == Strength.IN_USE or verdict.level != "leak":
        return "flat"
    return "suspect" if strength == Strength.NONE else "leak"


def explain(piles: Iterable[Grown], climb: Climb) -> bool:
    """Whether what piles takes makes up at least half of a climb."""
    taken = sum(each.verdict.rate * each.takes.get(climb.resource, 0.0) for each in piles)
    return taken > 0 and taken >= HALF * climb.slope.rate
