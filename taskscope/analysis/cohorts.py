"""Of the tasks born a while ago, how many still live?

A count cannot tell one leaked task among a hundred that churn; cohorts can.  At each look the live
tasks born up to some fixed moments (*cuts*) are counted.  What ends sooner or later makes these numbers
shrink; what leaked stays in them for ever.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.model import SiteFacts

KEPT = 12
"""Cuts and looks kept of one site.  When full every other one goes, so that they span ever longer."""

SETTLE = 10.0
"""Seconds a cohort must have lived before it counts: most tasks of most services are gone by then."""


@dataclass(frozen=True, slots=True)
class Survival:
    """``stayed`` tasks born between two cuts ``span`` seconds apart still live.

    While these were watched ``lost`` of them ended.  ``chance``: the part that would have ended if lives
    had no typical length (what is twice as old lives twice as long).  ``older`` tasks, born before, made
    room, where ``room`` came in the same time.  ``parts``: in how many of the stretches between cuts some
    stayed, of ``stretches``.  ``first_half`` and ``second_half``: live tasks of all that have settled,
    born in ``covered`` seconds.
    """

    stayed: int
    span: float
    lost: int
    chance: float
    older: int
    room: float
    parts: int
    stretches: int
    first_half: int
    second_half: int
    covered: float

    @property
    def total(self) -> int:
        """All that seem to stay."""
        return self.first_half + self.second_half

    @property
    def rate(self) -> float:
        """Tasks a minute that stay."""
        return self.stayed / self.span * 60 if self.span else 0.0

    @property
    def expected(self) -> float:
        """Ends to be expected of tasks that do end."""
        return (self.stayed + self.lost) * self.chance

    @property
    def told(self) -> bool:
        """Whether so many ends were to be expected that their absence says something."""
        return self.expected >= max(2.5, math.sqrt(self.stayed))

    @property
    def keeps(self) -> bool:
        """Far fewer ended than would of tasks that do end, and no older ones made room for them."""
        return self.told and self.lost <= 0.25 * self.expected and self.older <= 0.4 * self.room

    @property
    def drains(self) -> bool:
        """As many ended as of tasks that do end: the rest will follow."""
        return self.told and self.lost > 0.6 * self.expected

    @property
    def goes_on(self) -> bool:
        """Whether later births stay as the earlier did; few are given the benefit of chance."""
        return self.second_half >= 0.7 * self.first_half - 2 * math.sqrt(self.first_half)


class Cohorts:
    """Cuts of one site and what was alive of them at the looks."""

    __slots__ = ("_gap", "_look_gap", "_looks", "cuts")

    def __init__(self) -> None:
        self.cuts: list[float] = []
        self._looks: list[tuple[float, dict[float, int]]] = []
        self._gap = 0.0
        self._look_gap = 0.0

    def ask(self, now: float) -> tuple[float, ...]:
        """The cuts to count at; marks a new one at ``now``."""
        if not self.cuts or now - self.cuts[-1] >= self._gap:
            self.cuts.append(now)
            if len(self.cuts) > KEPT:
                self.cuts = self.cuts[::-2][::-1]  # the newest stays
                self._gap = (self.cuts[-1] - self.cuts[0]) / KEPT * 1.5
        return tuple(self.cuts)

    def answer(self, facts: SiteFacts) -> None:
        """What was alive of the cuts asked for.  The newest look is always kept.

        Whoever has not asked yet goes on with the cuts of those who have.
        """
        if len(facts.alive) != len(facts.cuts):
            return
        self.cuts = self.cuts or list(facts.cuts)
        if len(self._looks) > 1 and self._looks[-1][0] - self._looks[-2][0] < self._look_gap:
            self._looks.pop()
        self._looks.append((facts.monotonic, dict(zip(facts.cuts, facts.alive, strict=True))))
        if len(self._looks) > KEPT:
            self._looks = self._looks[::2]  # KEPT + 1 is odd: the newest stays
            self._look_gap = (self._looks[-1][0] - self._looks[0][0]) / KEPT * 1.5

    def survival(self) -> Survival | None:
        """Of the tasks born a while ago; None: too early.

        Tasks of an ordinary life among those that leak end first, so ever older cohorts are tried, and
        watched from ever later, until one keeps what it has.
        """
        if len(self._looks) < 2:
            return None
        now, alive = self._looks[-1]
        old = [cut for cut in self.cuts if cut in alive and now - cut >= SETTLE]
        cohorts = [
            cohort
            for last in range(len(old) - 1, 0, -1)
            for then, before in self._looks
            if then - old[last] >= SETTLE and (cohort := self._cohort(old, last, then, before))
        ]
        return next((cohort for cohort in cohorts if cohort.keeps), cohorts[-1] if cohorts else None)

    def _cohort(self, old: list[float], last: int, then: float, before: dict[float, int]) -> Survival | None:
        """Born between the first cut and ``old[last]``, watched since ``then``; None: for too short."""
        now, alive = self._looks[-1]
        first, cut = old[0], old[last]
        if now - then < 8 or cut not in before or first not in before:
            return None
        stayed = alive[cut] - alive[first]
        age = then - (first + cut) / 2
        begun, earliest = next((look for look in self._looks if look[0] - first >= SETTLE), self._looks[-1])
        middle = min(old, key=lambda each: abs(each - (first + old[-1]) / 2))
        share = (old[-1] - middle) / (middle - first) if middle > first else 0.0
        return Survival(
            stayed=stayed,
            span=cut - first,
            lost=max(0, before[cut] - before[first] - stayed),
            chance=math.log((age + now - then) / age),
            older=max(0, earliest[first] - alive[first]),
            room=stayed / (cut - first) * (now - begun),
            parts=sum(1 for lower, upper in pairwise(old[: last + 1]) if alive[upper] > alive[lower]),
            stretches=last,
            first_half=round((alive[middle] - alive[first]) * share),
            second_half=alive[old[-1]] - alive[middle],
            covered=old[-1] - first,
        )
