"""From the growth of one site to a level.

Three questions: does it keep its gains, does it still grow, and has it been watched long enough?  How long
is enough depends on the other evidence: tasks that show why they never end need less.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.analysis.strength import Strength
from taskscope.model.vocabulary import rank
from taskscope.values import dataclass

if TYPE_CHECKING:
    from taskscope.analysis.cohorts import Survival
    from taskscope.analysis.growth import Growth
    from taskscope.model.vocabulary import Reading, VerdictReason

PATIENCE = {
    Strength.CANNOT_END: 16.0,
    Strength.REPEATED: 40.0,
    Strength.PERMANENT: 45.0,
    Strength.NONE: 140.0,
    Strength.UNLIKELY: 165.0,
    Strength.OPEN_ENDED: 165.0,
    Strength.IN_USE: 165.0,
}
"""Seconds of growth before it is a leak.

Tasks that should end and cannot need few.  Permanent ones may be a start-up, mostly over within a minute;
without evidence it may also be a pool that fills up, which takes up to two.
"""

RISES = {
    Strength.CANNOT_END: 3,
    Strength.REPEATED: 2,
    Strength.PERMANENT: 3,
    Strength.NONE: 5,
    Strength.UNLIKELY: 8,
    Strength.OPEN_ENDED: 8,
    Strength.IN_USE: 8,
}
"""Separate gains needed; fewer over a longer watch."""

RISES_IN_THE_PAST = 8
"""Gains needed if none of them was seen: fewer may be the last of a pool that has filled up."""

PAST_STARTUP = 0.5
"""Least share of the patience, at any process age: an old process is past its start-up."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``until``: seconds until a final verdict."""

    level: Reading
    why: VerdictReason
    rate: float
    low: float
    high: float
    until: float | None = None


def judge(
    growth: Growth,
    survival: Survival | None,
    strength: Strength,
    *,
    uptime: float,
    record: bool,
    seen_since: float = 0.0,
    replaced: int = 0,
) -> Verdict:
    """The verdict on one site.

    ``uptime``: process age when the series began.  ``record``: the live count is an all-time high.
    ``seen_since``: when the watch began; before that, the series is reconstructed.
    ``replaced``: how many older tasks of the same coroutine, not in the series, have ended meanwhile.
    """
    if strength == Strength.BOUNDED:
        return _verdict(growth, "flat", "bounded")
    if strength == Strength.PROVEN:
        return _verdict(growth, "leak", "stuck")
    if growth.gained - replaced < 2 * math.sqrt(replaced):
        by_counts = _verdict(growth, "flat", "replaces older ones")
        if _fills(growth):
            return by_counts
    else:
        by_counts = _by_counts(growth, strength, uptime)
    if survival is None or growth.ended <= 0.05 * growth.born:  # almost nothing ends: the count suffices
        verdict = by_counts
    elif survival.drains and not (by_counts.level != "flat" and growth.pace < -2):
        # unless a backlog: its oldest tasks end, yet more arrive than end
        verdict = _verdict(growth, "flat", "drains")
    else:
        by_cohorts = _by_cohorts(growth, survival, strength, uptime)
        verdict = min(by_counts, by_cohorts, key=lambda each: rank(each.level))
    if verdict.level != "leak":
        return verdict
    doubt = _doubt(growth, strength, seen_since, record=record)
    return replace(verdict, level="suspect", why=doubt) if doubt is not None else verdict


def _doubt(growth: Growth, strength: Strength, seen_since: float, *, record: bool) -> VerdictReason | None:
    """Why growth that is kept is no leak all the same."""
    if not record:
        return "below its earlier peak"
    if strength == Strength.IN_USE:
        return "in use"
    if strength == Strength.OPEN_ENDED and not _some_ended(growth):
        return "none ends"
    if growth.rises < RISES_IN_THE_PAST and growth.last < seen_since:
        return "too early"
    return None


def _verdict(growth: Growth, level: Reading, why: VerdictReason, until: float | None = None) -> Verdict:
    slope = growth.slope
    return Verdict(level, why, slope.rate, slope.low, slope.high, until)


def _until(strength: Strength, age: float, lasted: float, gains: int, gap: float) -> float:
    """Seconds until growth has lasted long enough, with enough gains.  ``age``: of the process at onset."""
    patience = PATIENCE[strength]
    if strength < Strength.PERMANENT:
        patience = max(patience * PAST_STARTUP, patience - age)
    needed = min(RISES[strength], 1 + int(RISES[strength] * patience / lasted))
    return max(patience - lasted, (max(2, needed) - gains) * gap)


def _by_counts(growth: Growth, strength: Strength, uptime: float) -> Verdict:
    if growth.gained < 2 or growth.rises < (1 if strength == Strength.CANNOT_END else 2):
        return _verdict(growth, "flat", "no gain")
    if growth.gained < growth.noise or growth.late < 2 * growth.back:
        return _verdict(growth, "flat", "gives back")
    if growth.rises == 1:
        return _verdict(growth, "suspect", "only one step so far")
    if not _still_grows(growth):
        return _verdict(growth, "flat", "stopped")
    if growth.pace > 2:
        return _verdict(growth, "flat", "levels off")
    if growth.load > 0.6:
        return _verdict(growth, "flat", "follows load")
    lasted = (growth.last - growth.since) * growth.rises / (growth.rises - 1)  # not until now: it may be over
    until = _until(strength, uptime + growth.since - growth.begun, lasted, growth.rises, growth.gap)
    if until > 0:
        return _verdict(growth, "suspect", "too early", until)
    if strength < Strength.CANNOT_END and growth.slows:
        return _verdict(growth, "suspect", "slows down")
    if _some_end(growth, strength):
        return _verdict(growth, "suspect", "some end")
    return _verdict(growth, "leak", "keeps")


def _some_end(growth: Growth, strength: Strength) -> bool:
    """Whether some tasks end, and it is still open whether ends will grow with the live count."""
    return strength < Strength.CANNOT_END and _some_ended(growth) and growth.pace > -1


def _some_ended(growth: Growth) -> bool:
    """Whether enough have ended to show how long they live."""
    return growth.ended > max(2, 0.03 * growth.gained)


def _some_of(survival: Survival) -> bool:
    """Whether some of the older tasks end, so that the others may as well."""
    return survival.lost > max(2, 0.03 * survival.stayed)


def _fills(growth: Growth) -> bool:
    """Whether turnover is still low; once it is high, cohorts say more than counts."""
    return growth.ended < 2 * growth.live


def _still_grows(growth: Growth) -> bool:
    """Whether the last gain is as recent as the gaps suggest, and the last third had its share.

    By chance, a pause exceeds the longest of n gaps by 2/n at most once in six.
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


def _by_cohorts(growth: Growth, survival: Survival, strength: Strength, uptime: float) -> Verdict:
    """A few that stay among many that end: the count is noise, the cohorts are not."""
    if survival.stayed < 2 or survival.parts < 2 or not survival.keeps:
        return _verdict(growth, "flat", "ends")
    filling = _fills(growth)
    if (filling and growth.pace > 2 and not survival.from_before) or not survival.continues:
        return _verdict(growth, "flat", "levels off")
    rate = survival.rate
    doubt = 1.96 * survival.total**-0.5
    until = _until(strength, uptime, survival.covered * 1.25, survival.total, 60 / rate)
    open_end = _some_of(survival) if survival.from_before else filling and _some_end(growth, strength)
    sure = survival.parts >= survival.stretches / 3 and not open_end
    level: Reading = "leak" if until <= 0 and sure else "suspect"
    return Verdict(
        level, "some stay", rate, rate * max(0.0, 1 - doubt), rate * (1 + doubt), max(0.0, until) or None
    )
