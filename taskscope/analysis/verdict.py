"""From the reading of one site's series to a level, and how sure.

Three questions: does it keep what it gains, does it still grow, and has it been watched long enough?
How long is enough depends on what else is known: tasks that show why they never end need less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskscope.analysis.patterns.pattern import BOUNDED
from taskscope.model.vocabulary import rank

if TYPE_CHECKING:
    from taskscope.analysis.cohorts import Survival
    from taskscope.analysis.growth import Growth
    from taskscope.model.vocabulary import Reading

PATIENCE = {3: 16.0, 2: 40.0, 1: 45.0, 0: 140.0, -1: 165.0}
"""Seconds of growth before it is called a leak, by signs (see ``causes.signs``).

What was meant to end and cannot needs few.  What is there to stay may be a start-up, mostly over in less
than a minute; and what is not known to stay may be one too, or fill up, which takes two or a little more.
"""

RISES = {3: 3, 2: 2, 1: 3, 0: 5, -1: 8}
"""Separate gains needed, likewise; fewer if they are watched for longer than that."""

GROWN_UP = 0.5
"""Part of the patience that is needed at any age of the process: it need not wait for a start-up again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``level``: ``leak``, ``suspect`` or ``flat``; ``why``: a stable word; ``until``: seconds till then."""

    level: Reading
    why: str
    rate: float
    low: float
    high: float
    until: float | None = None


def judge(
    growth: Growth,
    survival: Survival | None,
    signs: int,
    *,
    uptime: float,
    record: bool,
    replaced: int = 0,
) -> Verdict:
    """The verdict on one site.

    ``uptime``: of the process when the series began.  ``record``: it holds more than it ever did before.
    ``replaced``: older tasks of its kind, not in the series, have ended meanwhile.
    """
    if signs == BOUNDED:
        return _verdict(growth, "flat", "bounded")
    if growth.gained - replaced < 2 * math.sqrt(replaced):
        by_counts = _verdict(growth, "flat", "replaces older ones")
        if _fills(growth):
            return by_counts
    else:
        by_counts = _by_counts(growth, signs, uptime)
    if survival is None or growth.ended <= 0.05 * growth.born:  # nothing ends: the count tells all
        verdict = by_counts
    elif survival.drains and not (by_counts.level != "flat" and growth.pace < -2):
        # though a backlog whose oldest end while more come than end grows all the same
        verdict = _verdict(growth, "flat", "drains")
    else:
        by_cohorts = _by_cohorts(growth, survival, signs, uptime)
        verdict = min(by_counts, by_cohorts, key=lambda each: rank(each.level))
    if verdict.level == "leak" and not record:
        return Verdict("suspect", "been here before", verdict.rate, verdict.low, verdict.high)
    return verdict


def _verdict(growth: Growth, level: Reading, why: str, until: float | None = None) -> Verdict:
    slope = growth.slope
    return Verdict(level, why, slope.rate, slope.low, slope.high, until)


def _until(signs: int, age: float, lasted: float, gains: int, gap: float) -> float:
    """Seconds until it has lasted long enough, with gains enough.  ``age``: of the process as it began."""
    patience = PATIENCE[signs]
    if signs < 1:
        patience = max(patience * GROWN_UP, patience - age)
    needed = min(RISES[signs], 1 + int(RISES[signs] * patience / lasted))
    return max(patience - lasted, (max(2, needed) - gains) * gap)


def _by_counts(growth: Growth, signs: int, uptime: float) -> Verdict:
    if growth.gained < 2 or growth.rises < (1 if signs == 3 else 2):
        return _verdict(growth, "flat", "no gain")
    if growth.gained < growth.noise or growth.late < 2 * growth.back:
        return _verdict(growth, "flat", "gives back")
    if growth.rises == 1:
        return _verdict(growth, "suspect", "one step so far")
    if not _still_grows(growth):
        return _verdict(growth, "flat", "stopped")
    if growth.pace > 2:
        return _verdict(growth, "flat", "levels off")
    if growth.load > 0.6:
        return _verdict(growth, "flat", "follows load")
    lasted = (growth.last - growth.since) * growth.rises / (growth.rises - 1)  # not to now: it may be over
    until = _until(signs, uptime + growth.since - growth.begun, lasted, growth.rises, growth.gap)
    if until > 0:
        return _verdict(growth, "suspect", "too early", until)
    if signs < 3 and growth.slows:
        return _verdict(growth, "suspect", "slows down")
    if _some_end(growth, signs):
        return _verdict(growth, "suspect", "some end")
    return _verdict(growth, "leak", "keeps")


def _some_end(growth: Growth, signs: int) -> bool:
    """Whether a part ends, and it cannot be told yet if that part will grow with the number."""
    return signs < 3 and growth.ended > max(2, 0.03 * growth.gained) and growth.pace > -1


def _fills(growth: Growth) -> bool:
    """Whether they have not turned over often yet; if they have, cohorts tell more than counts."""
    return growth.ended < 2 * growth.live


def _still_grows(growth: Growth) -> bool:
    """Whether the last gain is no longer ago than gaps were, and the last third had its share.

    A pause that is longer than the longest of n gaps by 2/n of it is one in six or less by chance.
    """
    gaps = max(1, growth.rises - 1)
    mean_gap = (growth.last - growth.since) / gaps
    resolution = growth.window / 50
    pause = min(4 * max(growth.gap, mean_gap), growth.longest * (1 + 2 / gaps))
    if growth.now - growth.last > pause + resolution:
        return False
    expected = growth.gained * min(1.0, growth.window / 3 / (growth.now - growth.since))
    doubt = min(1.0, max(0.35, 1.5 / math.sqrt(growth.rises / 3)))
    return growth.latest >= expected * (1 - doubt)


def _by_cohorts(growth: Growth, survival: Survival, signs: int, uptime: float) -> Verdict:
    """Few that stay among many that end: the count is all noise, the cohorts are not."""
    if survival.stayed < 2 or survival.parts < 2 or not survival.keeps:
        return _verdict(growth, "flat", "ends")
    filling = _fills(growth)
    if (filling and growth.pace > 2) or not survival.goes_on:
        return _verdict(growth, "flat", "levels off")
    rate = survival.rate
    doubt = 1.96 * survival.total**-0.5
    until = _until(signs, uptime, survival.covered * 1.25, survival.total, 60 / rate)
    sure = survival.parts >= survival.stretches / 3 and not (filling and _some_end(growth, signs))
    level: Reading = "leak" if until <= 0 and sure else "suspect"
    return Verdict(
        level, "some stay", rate, rate * max(0.0, 1 - doubt), rate * (1 + doubt), max(0.0, until) or None
    )
