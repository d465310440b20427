"""A site's past from before the agent, from those of its tasks that still live.

Their births alone cannot tell a leak from a service whose tasks come and go: of both the younger are there
in number.  So it is weighed first whether nearly all that were ever started still live.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.analysis.moves import WATCHED
from taskscope.analysis.track import LENGTH, Bin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.model import Older, SiteCounts, SiteFacts

ODDS = 4.0
"""Log-likelihood, of tasks that stay over tasks that come and go, from which their births are a past."""

TURNOVER = 3.0
"""What comes and goes has started so many times what lives, at least, since the oldest of it."""

SHARE = 0.5
"""Of all tasks that the process has started, those that live of one site alone, which show the same."""

REACH = 0.7
"""Part of the process's life that they must span: else as many may have lived, and ended, before."""

KNOWN = 0.9
"""Part of the births that must be known."""

EVENLY = 0.5
"""Log of how far the rate at which tasks are started now may be off the one since the process began."""

ENOUGH = 10
"""Tasks from which a rate is told."""


@dataclass(frozen=True, slots=True)
class Past:
    """Moments, in order, at which the tasks that are older than the agent were born; evenly thinned.

    ``count``: how many they stand for.  ``started`` is when the process began, ``since`` when the agent
    came.  ``numbered``: the moments rest on the order of the tasks' numbers.
    """

    births: tuple[float, ...]
    count: int
    started: float
    since: float
    numbered: bool = False

    @property
    def rests_on(self) -> str:
        """What the moments are known by."""
        return "numbers of tasks" if self.numbered else "births"

    def level(self, time: float) -> int:
        """How many of them had been born by then."""
        return round(self.count * bisect_right(self.births, time) / len(self.births))


class FirstSight:
    """What the past of sites is told from: when the process began, and how fast it starts tasks.

    ``births``: tasks that it has started since the agent came.
    """

    def __init__(self, started: float, since: float) -> None:
        self._started = started
        self._since = since
        self._counter = 0  # of asyncio's tasks, as the agent came
        self.births = 0

    def read(self, facts: SiteFacts) -> None:
        """Looks at asyncio's counter."""
        if facts.older is not None:
            self._counter = max(self._counter, facts.older.counter)

    def past(self, facts: SiteFacts | None, counts: SiteCounts, signs: int, now: float) -> Past | None:
        """When the older tasks of a site were born; None: that is not known, or says nothing.

        ``signs`` as in ``causes``: of tasks in use births say nothing, and use shows after a while.
        """
        older = facts.older if facts is not None else None
        if older is None or signs < 0 or (signs == 0 and now - self._since < WATCHED):
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
        """By the numbers, with the tasks of all other sites as a clock; None: these do not come evenly.

        The tasks of the site itself do not move that clock: what was started at once was born at once.
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
        """Whether nearly all that the site has started since its oldest live task still live.

        By the tasks' numbers, where these leave no room for others; else by what came and ended since the
        agent is there: where tasks come and go, more come than those that live account for, and as many end.
        """
        if older.numbers and None not in older.numbers and older.live >= SHARE * self._counter:
            return True
        expected = max(0.01, older.live * (now - self._since) / (self._since - past.births[0]))
        born, ended = counts.counts.born - counts.adopted, counts.counts.ended
        few = 0.05 * expected + 0.01
        return _odds(born, expected, TURNOVER * expected) + _odds(ended, few, TURNOVER * expected) >= ODDS


def _odds(count: int, one: float, other: float) -> float:
    """Log-likelihood of ``count`` where ``one`` is expected, over where ``other`` is (Poisson)."""
    return count * math.log(one / other) - one + other


def extended(bins: Sequence[Bin], past: Past) -> list[Bin]:
    """The bins of a watch with the past before them, all of one width."""
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
