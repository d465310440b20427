"""Reconstructs a site's past before the agent from those of its older tasks that still live.

Their births alone cannot tell a leak from a service whose tasks come and go: in both, younger tasks are more
numerous.  So it first estimates whether nearly all tasks ever started still live.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.analysis.moves import WATCHED
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import LENGTH, Bin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model import Older, SiteCounts, SiteFacts

ODDS = 4.0
"""Log-likelihood ratio (tasks stay : tasks come and go) from which births count as the past."""

TURNOVER = 3.0
"""A site that churns has started at least this many times its live count since its oldest live task."""

SHARE = 0.5
"""A site stays if its live tasks are at least this share of all tasks the process ever started."""

REACH = 0.7
"""Least share of the process's life that births span: otherwise as many may have come and gone before."""

KNOWN = 0.9
"""Share of the births that must be known."""

EVENLY = 0.5
"""Largest log ratio between the present birth rate and the average since the process started."""

ENOUGH = 10
"""Fewest tasks from which to estimate a rate."""


@dataclass(frozen=True, slots=True)
class Past:
    """Birth times of tasks older than the agent, in order; an even sample.

    ``count``: how many tasks they represent.  ``started``: when the process started; ``since``: when the
    agent did.  ``numbered``: the times are derived from the tasks' numbers.
    """

    births: tuple[float, ...]
    count: int
    started: float
    since: float
    numbered: bool = False

    @property
    def rests_on(self) -> str:
        """What the times are derived from."""
        return "numbers of tasks" if self.numbered else "births"

    def level(self, time: float) -> int:
        """How many had been born by ``time``."""
        return round(self.count * bisect_right(self.births, time) / len(self.births))


class FirstSight:
    """Reconstructs the past of sites from the process's age and the rate at which it starts tasks.

    ``births``: tasks started since the agent did.
    """

    def __init__(self, started: float, since: float) -> None:
        self._started = started
        self._since = since
        self._counter = 0  # asyncio's task counter when the agent started, at least
        self.births = 0

    def read(self, facts: SiteFacts) -> None:
        """Takes over asyncio's counter."""
        if facts.older is not None:
            self._counter = max(self._counter, facts.older.counter)

    def past(
        self, facts: SiteFacts | None, counts: SiteCounts, strength: Strength, now: float
    ) -> Past | None:
        """When a site's older tasks were born; None if that is unknown or proves nothing.

        For tasks in use births prove nothing, and use shows only after a while.
        """
        older = facts.older if facts is not None else None
        if (
            older is None
            or strength < Strength.NONE
            or (strength == Strength.NONE and now - self._since < WATCHED)
        ):
            return None
        births = self._births(older, counts, now)
        if births is None or self._since - births[0] < REACH * (self._since - self._started):
            return None
        numbered = None in older.births
        found = Past(births, counts.adopted, self._started, self._since, numbered=numbered)
        return found if self._stay(older, found, counts, now) else None

    def _births(self, older: Older, counts: SiteCounts, now: float) -> tuple[float, ...] | None:
        known = sorted(birth for birth in older.births if birth is not None and birth <= self._since)
        if not older.births or self._since <= self._started:
            return None
        if len(known) >= KNOWN * len(older.births):
            return tuple(known)
        return self._by_others(older, counts, now)

    def _by_others(self, older: Older, counts: SiteCounts, now: float) -> tuple[float, ...] | None:
        """Births from the numbers, with all other sites' tasks as a clock; None if these come unevenly.

        The site's own tasks do not advance the clock: those started together were born together.
        """
        numbers = [number for number in older.numbers if number is not None]
        span = self._since - self._started
        before = self._counter - older.live
        meanwhile = self.births - (counts.counts.born - counts.adopted)
        if len(numbers) < KNOWN * len(older.numbers) or min(before, meanwhile) < ENOUGH:
            return None
        if abs(math.log(meanwhile / (now - self._since) * span / before)) > EVENLY:
            return None
        step = (older.live - 1) / max(1, len(numbers) - 1)
        parts = sorted((number - 1 - at * step) / before for at, number in enumerate(numbers))
        return tuple(self._started + span * min(max(0.0, part), 1.0) for part in parts)

    def _stay(self, older: Older, past: Past, counts: SiteCounts, now: float) -> bool:
        """Whether nearly all tasks that the site started since its oldest live one still live.

        Their numbers show it if they leave no room for others; otherwise births and ends since the agent
        started: if tasks come and go, more are born than the live ones account for, and as many end.
        """
        if older.numbers and None not in older.numbers and older.live >= SHARE * self._counter:
            return True
        expected = max(0.01, older.live * (now - self._since) / (self._since - past.births[0]))
        born, ended = counts.counts.born - counts.adopted, counts.counts.ended
        few = 0.05 * expected + 0.01
        return _odds(born, expected, TURNOVER * expected) + _odds(ended, few, TURNOVER * expected) >= ODDS


def _odds(count: int, one: float, other: float) -> float:
    """Log-likelihood ratio of ``count`` for an expected ``one`` against ``other`` (Poisson)."""
    return count * math.log(one / other) - one + other


def extended(bins: Sequence[Bin], past: Past) -> list[Bin]:
    """The bins of a watch preceded by the past, all of equal width."""
    now = bins[-1].time
    width = max(bins[1].time - bins[0].time if len(bins) > 1 else 1.0, (now - past.started) / (LENGTH - 1))
    rows: list[Bin] = []
    at, base = 0, bins[0]
    for step in range(int((now - past.started) / width) + 1):
        begin = past.started + step * width
        end = begin + width
        low, high = past.level(begin), past.level(min(end, past.since))
        seen = at
        while at < len(bins) and bins[at].time < end:
            at += 1
        here = bins[seen:at]
        last = here[-1] if here else None
        if last is None and begin < past.since:
            rows.append(Bin(begin, low, high, high, high - past.count + base.born, 0))
        elif last is not None:
            before = [low] if begin < past.since else []
            rows.append(
                Bin(
                    begin,
                    min(*(each.low for each in here), *before, last.low),
                    max(each.high for each in here),
                    last.live,
                    last.born,
                    last.ended,
                )
            )
        else:
            held = rows[-1]
            rows.append(Bin(begin, held.live, held.live, held.live, held.born, held.ended))
    return rows
