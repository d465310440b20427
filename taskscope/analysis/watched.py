"""All that is remembered of one site while it is watched, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskscope.analysis.cohorts import Cohorts
from taskscope.analysis.moves import Moves
from taskscope.model import Finding

if TYPE_CHECKING:
    from taskscope.analysis.growth import Growth
    from taskscope.analysis.series import Track
    from taskscope.analysis.verdict import Verdict
    from taskscope.model import Cause, Site, SiteCounts, SiteFacts

CONFIRM = 1.5
HOLD = {"leak": 20.0, "suspect": 10.0}
"""Seconds a better verdict must last before the level falls: no flapping."""

RANK = {"leak": 0, "suspect": 1, "info": 2}


@dataclass(slots=True)
class Level:
    """The level shown, which follows the verdicts slowly."""

    shown: str = "flat"
    since: float = 0.0
    other: str = "flat"
    other_since: float = 0.0

    def follow(self, level: str, now: float, *, first: bool) -> None:
        if level == self.shown:
            self.other = level
            return
        if level != self.other:
            self.other, self.other_since = level, now
        up = RANK.get(level, 3) < RANK.get(self.shown, 3)
        wait = CONFIRM if up else max(HOLD[self.shown], (self.other_since - self.since) / 4)
        if first or now - self.other_since >= wait:
            self.shown, self.since = level, now


@dataclass(slots=True)
class Watched:
    """All that is remembered of one site."""

    whole: Track
    recent: Track
    counts: SiteCounts
    cohorts: Cohorts = field(default_factory=Cohorts)
    moves: Moves = field(default_factory=Moves)
    facts: SiteFacts | None = None
    before: SiteFacts | None = None
    asked: float = -1e9
    judged: float | None = None
    level: Level = field(default_factory=Level)
    reading: Growth | None = None
    verdict: Verdict | None = None
    said: Verdict | None = None
    leaked: bool = False
    cause: Cause | None = None
    signs: int = 0


def grown(site: Site, watched: Watched) -> Finding:
    """A leak or a suspect."""
    reading, said = watched.reading, watched.said
    assert reading is not None
    assert said is not None
    level = watched.level.shown
    return _about(
        site,
        watched,
        level,
        rate=said.rate,
        since=reading.since,
        text=_sentence(level, said, reading, watched.counts.counts.live),
        evidence={
            "why": said.why,
            "rate_low": round(said.low, 2),
            "rate_high": round(said.high, 2),
            "gained": reading.gained,
            "born": reading.born,
            "ended": reading.ended,
            "watched_seconds": round(reading.window, 1),
            "steps": reading.steps,
        },
        until=said.until if level == "suspect" else None,
    )


def _sentence(level: str, said: Verdict, reading: Growth, live: int) -> str:
    shape = "in steps" if reading.steps else "steadily"
    text = f"{live:,} live, {shape} {said.rate:+,.1f} a minute ({said.low:,.1f} to {said.high:,.1f})"
    text += f"; {reading.born:,} born and {reading.ended:,} ended in {reading.window:,.0f} s"
    if level == "suspect":
        text += f"; to be told in {said.until:,.0f} s" if said.until else f"; {said.why}"
    return text


def noted(site: Site, watched: Watched, now: float, long_lived: float) -> Finding | None:
    """Worth knowing, no fault: plateau, lost or retained tasks, long-lived."""
    counts = watched.counts
    live = counts.counts.live
    age = now - counts.oldest if counts.oldest is not None else 0.0
    if watched.leaked and live:
        text, kind = f"stopped growing at {live:,} live", "plateau"
    elif counts.counts.lost:
        text, kind = f"{counts.counts.lost:,} were destroyed while still waiting", "lost"
    elif counts.retained >= max(100, live):
        text, kind = f"{counts.retained:,} are done but still referenced", "retained"
    elif live >= 2 and age >= long_lived:
        text, kind = f"{live:,} live for up to {age:,.0f} s, and no more of them", "long-lived"
    else:
        return None
    since = counts.oldest if counts.oldest is not None else now
    return _about(site, watched, "info", rate=0.0, since=since, text=text, evidence={"why": kind})


def _about(
    site: Site,
    watched: Watched,
    level: str,
    *,
    rate: float,
    since: float,
    text: str,
    evidence: dict[str, object],
    until: float | None = None,
) -> Finding:
    return Finding(
        level=level,
        kind=site.kind,
        id=site.id,
        site=site.frame,
        user_site=site.user_frame,
        coroutine=site.coroutine,
        live=watched.counts.counts.live,
        rate_per_min=round(rate, 2),
        since=since,
        text=text,
        evidence=evidence,
        cause=watched.cause if level != "info" or watched.signs > 1 else None,
        known=site.known,
        until_told=until,
    )
