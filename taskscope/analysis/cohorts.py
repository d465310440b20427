"""Of the tasks born a while ago, how many still live?

A count cannot show one leaked task among a hundred that churn; cohorts can.  Each look counts the live
tasks born up to a set of fixed times (*cuts*).  These counts shrink as tasks end; leaked tasks stay in
them forever.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.analysis.first_sight import Past
    from taskscope.model import SiteFacts

KEPT = 12
"""Cuts and looks kept per site.  When full, every other one is dropped, so their span keeps growing."""

SETTLE = 10.0
"""Seconds of age before a cohort counts: by then most tasks of most services have ended."""

LEAST = 8.0
"""Seconds a cohort must be watched."""


@dataclass(frozen=True, slots=True)
class Survival:
    """``stayed`` tasks born between two cuts ``span`` seconds apart are still live.

    ``lost``: those that ended while watched.  ``chance``: the share expected to end if lifetimes had no
    typical length (a task twice as old lives twice as long).  ``older_ended``: tasks born before the first
    cut that ended while ``replacements`` settled.  ``parts`` of ``stretches`` between cuts have survivors.
    ``first_half`` and ``second_half``: all settled live tasks, born within ``covered`` seconds.
    ``from_before``: they are older than the agent.
    """

    stayed: int
    span: float
    lost: int
    chance: float
    older_ended: int
    replacements: float
    parts: int
    stretches: int
    first_half: int
    second_half: int
    covered: float
    from_before: bool = False

    @property
    def total(self) -> int:
        """All that appear to stay."""
        return self.first_half + self.second_half

    @property
    def rate(self) -> float:
        """Tasks per minute that stay."""
        return self.stayed / self.span * 60 if self.span else 0.0

    @property
    def expected(self) -> float:
        """Ends to expect if the tasks do end."""
        return (self.stayed + self.lost) * self.chance

    @property
    def significant(self) -> bool:
        """Whether enough ends were expected for their absence to mean something."""
        return self.expected >= max(2.5, math.sqrt(self.stayed))

    @property
    def keeps(self) -> bool:
        """Whether far fewer ended than expected, and they do not just replace older ones."""
        replaces = self.older_ended > 0.4 * self.replacements
        return self.significant and self.lost <= 0.25 * self.expected and not replaces

    @property
    def drains(self) -> bool:
        """Whether about as many ended as expected: the rest will follow."""
        return self.significant and self.lost > 0.6 * self.expected

    @property
    def continues(self) -> bool:
        """Whether later births stay as earlier ones did, allowing two standard deviations."""
        return self.second_half >= 0.7 * self.first_half - 2 * math.sqrt(self.first_half)


class Settled(NamedTuple):
    """Of ``before`` tasks that lived at ``then``, ``stayed`` still live at ``now``."""

    before: int
    stayed: int
    then: float
    now: float


class Cohorts:
    """The cuts of one site, and what each look found alive of them."""

    __slots__ = ("_gap", "_look_gap", "_looks", "cuts")

    def __init__(self) -> None:
        self.cuts: list[float] = []
        self._looks: list[tuple[float, dict[float, int]]] = []
        self._gap = 0.0
        self._look_gap = 0.0

    def ask(self, now: float) -> tuple[float, ...]:
        """The cuts to count at, with a new one at ``now`` if due."""
        if not self.cuts or now - self.cuts[-1] >= self._gap:
            self.cuts.append(now)
            if len(self.cuts) > KEPT:
                self.cuts = self.cuts[::-2][::-1]  # the newest stays
                self._gap = (self.cuts[-1] - self.cuts[0]) / KEPT * 1.5
        return tuple(self.cuts)

    def answer(self, facts: SiteFacts) -> None:
        """Adds a look.  The newest is always kept.

        A judge that has not asked yet adopts the cuts of the client that has.
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
        """The survival of the tasks born a while ago; None if it is too early.

        Ordinary tasks among leaked ones end first, so older cohorts and later looks are tried until one
        keeps its tasks.
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

    def settled(self, since: float) -> Settled | None:
        """The tasks older than the agent, which came at ``since``, once the young ones of them have ended.

        None if it is too early, or the first look came too late to tell them from the others.
        """
        first = self.cuts[0] if self.cuts else None
        if first is None or first - since > SETTLE:
            return None
        looks = [(time, alive[first]) for time, alive in self._looks if first in alive]
        then, before = next((look for look in looks if look[0] - first >= SETTLE), (0.0, 0))
        now, stayed = looks[-1] if looks else (0.0, 0)
        if not then or now - then < LEAST:
            return None
        return Settled(before, stayed, then, now)

    def older(self, past: Past) -> Survival | None:
        """The survival of the tasks older than the agent; None as ``settled``."""
        settled = self.settled(past.since)
        if settled is None:
            return None
        before, stayed, then, now = settled
        begun, middle = past.births[0], (past.births[0] + past.since) / 2
        age = then - sum(past.births) / len(past.births)
        stretch = (past.since - begun) / KEPT
        return Survival(
            stayed=stayed,
            span=past.since - begun,
            lost=max(0, before - stayed),
            chance=math.log((age + now - then) / age),
            older_ended=0,
            replacements=0.0,
            parts=len({int((birth - begun) / stretch) for birth in past.births}),
            stretches=KEPT,
            first_half=past.level(middle),
            second_half=past.count - past.level(middle),
            covered=past.since - begun,
            from_before=True,
        )

    def _cohort(self, old: list[float], last: int, then: float, before: dict[float, int]) -> Survival | None:
        """Tasks born between the first cut and ``old[last]``, watched since ``then``; None if too briefly."""
        now, alive = self._looks[-1]
        first, cut = old[0], old[last]
        if now - then < LEAST or cut not in before or first not in before:
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
            older_ended=max(0, earliest[first] - alive[first]),
            replacements=stayed / (cut - first) * (now - begun),
            parts=sum(1 for lower, upper in pairwise(old[: last + 1]) if alive[upper] > alive[lower]),
            stretches=last,
            first_half=round((alive[middle] - alive[first]) * share),
            second_half=alive[old[-1]] - alive[middle],
            covered=old[-1] - first,
        )
