"""Reconstructs a site's past before the agent from those of its older tasks that still live.

Their births alone cannot tell a leak from a service whose tasks come and go: in both, younger tasks are more
numerous.  So it first estimates whether nearly all tasks ever started still live.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Literal

from taskscope.analysis.growth import start_up
from taskscope.analysis.track import LENGTH, Bin
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from taskscope.analysis.cohorts import Cohorts
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
"""Fewest tasks of others for a rate."""

FEWEST = 6
"""Fewest tasks of the site itself for a rate."""

RestsOn = Literal["births", "numbers of tasks", "the present rate"]


@dataclass(frozen=True, slots=True)
class Past:
    """Birth times of tasks older than the agent, in order; an even sample.

    ``count``: how many tasks they represent.  ``started``: when the process started; ``since``: when the
    agent did.  ``rests_on``: what the times are derived from.
    """

    births: tuple[float, ...]
    count: int
    started: float
    since: float
    rests_on: RestsOn

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

    def past(self, facts: SiteFacts | None, counts: SiteCounts, now: float, cohorts: Cohorts) -> Past | None:
        """When a site's older tasks were born; None if that is unknown or proves nothing.

        If many of them have ended since, but those that had settled do not (``cohorts``), it is the past of
        these.
        """
        older = facts.older if facts is not None else None
        if older is None:
            return None
        whole = self._all_of(counts.adopted, older.live, (facts.monotonic if facts else now) - self._since)
        settled = cohorts.settled(self._since)
        part = settled is not None and self._all_of(*settled[:2], settled.now - settled.then)
        for births, rests_on in self._births(older, counts, now):
            if births is None or self._since - births[0] < REACH * (self._since - self._started):
                continue
            count = older.live if part and not whole else counts.adopted
            past = Past(births, count, self._started, self._since, rests_on)
            if whole or part or (rests_on != "the present rate" and self._all_stay(older, past, counts, now)):
                return past
        return None

    def _births(
        self, older: Older, counts: SiteCounts, now: float
    ) -> Iterator[tuple[tuple[float, ...] | None, RestsOn]]:
        """The birth times, by what is known best."""
        known = sorted(birth for birth in older.births if birth is not None and birth <= self._since)
        if not older.births or self._since <= self._started:
            return
        if len(known) >= KNOWN * len(older.births):
            yield tuple(known), "births"
            return
        by_others = self._by_others(older, counts, now)
        yield by_others, "numbers of tasks"
        if by_others is None:
            yield self._by_rate(older, counts, now), "the present rate"

    def _by_others(self, older: Older, counts: SiteCounts, now: float) -> tuple[float, ...] | None:
        """Births from the numbers, with all tasks but the site's live ones as a clock; None if uneven.

        The live ones do not advance the clock: those started together were born together.  Nor do others that
        were started with them when the service was.
        """
        numbers = [number for number in older.numbers if number is not None]
        span = self._since - self._started
        before = self._counter - older.live
        meanwhile = self.births - max(0, counts.counts.live - older.live)
        if len(numbers) < KNOWN * len(older.numbers) or min(before, meanwhile) < ENOUGH:
            return None
        if not _even(meanwhile, before * (now - self._since) / span):
            return None
        step = (older.live - 1) / max(1, len(numbers) - 1)
        others = ((number - 1 - at * step) / before for at, number in enumerate(numbers))
        parts = sorted(min(max(0.0, part), 1.0) for part in others)
        burst = _burst(parts)
        slow = meanwhile / (now - self._since) * max(0.0, 1 - 2 / math.sqrt(meanwhile)) * span / before
        return tuple(self._started + span * _without_burst(part, burst, slow) for part in parts)

    def _by_rate(self, older: Older, counts: SiteCounts, now: float) -> tuple[float, ...] | None:
        grown, told = counts.counts.live - older.live, len(older.births)
        return evenly(older.live, grown, told, self._started, self._since, now)

    def _all_stay(self, older: Older, past: Past, counts: SiteCounts, now: float) -> bool:
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

    def _all_of(self, before: int, now: int, seconds: float) -> bool:
        """Whether tasks older than the agent do not end, however many younger ones come and go.

        If they came and went, their lives would last as long as the process at most, so that in any part of
        that time at least the same part of them would end.
        """
        expected = max(0.01, before * seconds / max(1.0, self._since - self._started))
        return _odds(max(0, before - now), 0.05 * expected + 0.01, expected) >= ODDS


def evenly(
    older: int, grown: int, told: int, started: float, since: float, now: float
) -> tuple[float, ...] | None:
    """Evenly spread births, if the present growth, over the life of the process, makes those that live.

    ``older``: how many there were at ``since``; ``grown``: by how many they are more ``now``; ``told``: how
    many births at most.  Only sound for what does not end: then the number that lives was once 0.
    """
    span = since - started
    if grown < FEWEST or older <= 0 or span <= 0 or not _even(grown, older * (now - since) / span):
        return None
    told = min(told, older)
    return tuple(started + span * (at + 0.5) / told for at in range(told))


def _burst(parts: Sequence[float]) -> float:
    """The part of all tasks that were started in the start-up, if the site had one; ``parts``: in order."""
    return start_up([bisect_right(parts, at / LENGTH) for at in range(LENGTH + 1)]) / LENGTH


def _without_burst(part: float, burst: float, slow: float) -> float:
    """The time, as a part of the process's life, by which ``part`` of its tasks had been started.

    ``burst`` of them were started in a start-up, which took no longer than the rest leaves, had the rest been
    started at the rate ``slow`` (1: the average), the least that the present one may be.
    """
    took = min(burst, max(0.0, 1 - (1 - burst) / slow)) if slow else 0.0
    if part <= burst:
        return part / burst * took if burst else 0.0
    return took + (1 - took) * (part - burst) / (1 - burst)


def _even(count: int, expected: float) -> bool:
    """Whether a count is about as expected, allowing two standard deviations."""
    return abs(math.log(count / expected)) <= max(EVENLY, 2 / math.sqrt(count))


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
