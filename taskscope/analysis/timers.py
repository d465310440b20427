"""Which timers pile up: their number grows, they are due late, and they keep things alive.

A timer ends by itself, so the number of those that are armed with the same delay levels off after that delay.
Only timers due much later than anyone would watch are judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskscope.analysis import growth
from taskscope.analysis.clues import MOST
from taskscope.analysis.first_sight import Past, extended
from taskscope.analysis.onset import Onset
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import Track
from taskscope.analysis.verdict import judge
from taskscope.analysis.watched_site import ShownLevel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.growth import Growth
    from taskscope.analysis.verdict import Verdict
    from taskscope.model import KeptByTimers, TimerGroup, Timers
    from taskscope.model.vocabulary import Reading

BIN = 1.0
"""Seconds per bin."""

LATE = 240.0
"""Seconds: timers due sooner level off before anyone would have to act."""

INSPECT_EVERY = 30.0
"""Seconds for which it stays true what they keep alive."""

FEWEST = 20
"""Fewest timers to judge."""

SOON = 2.0
"""Seconds to watch before anything is said of delays, and within which times count as equal."""


@dataclass(frozen=True, slots=True)
class PiledUp:
    """Timers whose number grows.  ``delay``: seconds, if all are armed with the same."""

    group: TimerGroup
    kept: KeptByTimers
    reading: Growth
    verdict: Verdict
    level: Reading
    delay: float | None
    since: Onset


@dataclass(slots=True)
class _Watched:
    """A group over time.

    ``first``: as it was at first, at ``since``.  ``inspected``: when ``kept`` was found out.
    ``furthest``: how far ahead the last was due, at most.
    """

    track: Track
    since: float
    first: TimerGroup
    group: TimerGroup
    kept: KeptByTimers | None = None
    inspected: float = -math.inf
    furthest: float = 0.0
    now: float = 0.0
    level: ShownLevel = field(default_factory=ShownLevel)

    def add(self, group: TimerGroup, now: float) -> None:
        self.group, self.now = group, now
        if group.kept is not None:
            self.kept, self.inspected = group.kept, now
        self.track.add(now, group.live, group.live, 0)
        self.furthest = max(self.furthest, group.furthest - now)

    @property
    def late(self) -> bool:
        """Whether it is worth judging."""
        return self.group.live >= FEWEST and not self.group.of_tasks and self.furthest >= LATE

    def delay(self, started: float) -> float | None:
        """The delay that all are armed with; None if it differs, or is not known yet.

        If they have one, the last is due ever later, all that were armed since are due after what was the
        last then, and none was armed before the process began.
        """
        group, first, watched = self.group, self.first, self.now - self.since
        advance = group.furthest - first.furthest
        if watched < SOON or not 0.5 * watched <= advance <= 1.5 * watched:
            return None
        in_order = group.later - first.later >= MOST * (group.live - first.live)
        known = in_order and group.nearest - self.furthest >= started - SOON
        return self.furthest if known else None

    def past(self, delay: float, started: float) -> Past | None:
        """When the first were armed; None if some may have run since, which left no trace."""
        if self.since - started > delay or self.track.gain <= 0:
            return None
        births = tuple(due - delay for due in self.first.dues if due - delay <= self.since)
        return Past(births, self.first.live, started, self.since, "births") if births else None


class PilingTimers:
    """Judges the timers of one target.  ``started``: the process, in the same seconds as the looks."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._watched: dict[int, _Watched] = {}
        self._now = 0.0
        self._looks = 0

    def add(self, timers: Timers) -> None:
        """Adds a look."""
        self._now = now = timers.monotonic
        self._looks += 1
        listed = set()
        for group in timers.groups:
            listed.add(group.id)
            watched = self._watched.get(group.id)
            if watched is None:
                watched = _Watched(Track(now, BIN, recent=False), now, group, group)
                self._watched[group.id] = watched
            watched.add(group, now)
        for gone in self._watched.keys() - listed:
            del self._watched[gone]

    @property
    def growing(self) -> bool:
        """Whether some may pile up, or it is too early to tell."""
        return self._looks < 3 or bool(self._suspected())

    @property
    def wanted(self) -> int:
        """The fewest timers of a group of which to ask what they keep alive; 0: of none."""
        unknown = [each for each in self._suspected() if self._now - each.inspected > INSPECT_EVERY]
        return min((each.group.live for each in unknown), default=0)

    def _suspected(self) -> list[_Watched]:
        return [each for each in self._watched.values() if each.late and each.track.gain > 0]

    def found(self) -> Sequence[PiledUp]:
        """The groups that pile up, worst first."""
        every = [found for each in self._watched.values() if each.late and (found := self._judged(each))]
        every.sort(key=lambda each: (each.level != "leak", -each.verdict.rate))
        return every

    def _judged(self, watched: _Watched) -> PiledUp | None:
        if watched.kept is None:
            return None
        delay, bins = watched.delay(self._started), watched.track.bins(self._now)
        strength = _strength(watched.kept, delay)
        past = watched.past(delay, self._started) if delay is not None else None
        if past is not None and strength >= Strength.PERMANENT:
            bins = extended(bins, past)
        reading = growth.measure(bins, self._now)
        if reading is None:
            return None
        verdict = judge(
            reading,
            None,
            strength,
            uptime=reading.begun - self._started,
            record=True,
            seen_since=watched.since,
        )
        level = _level(verdict, strength)
        watched.level.follow(level, self._now, at_once=level == "leak")
        shown = watched.level.shown
        if shown == "flat":
            return None
        born = watched.group.nearest - delay if delay is not None else reading.since
        onset = Onset(min(max(self._started, born), reading.since), at_least=delay is None)
        return PiledUp(watched.group, watched.kept, reading, verdict, shown, delay, onset)


def _level(verdict: Verdict, strength: Strength) -> Reading:
    """Timers of different delays may be planned, such as reminders: these are suspected at most."""
    if strength == Strength.IN_USE:
        return "flat"
    return "suspect" if strength == Strength.NONE and verdict.level == "leak" else verdict.level


def _strength(kept: KeptByTimers, delay: float | None) -> Strength:
    """How strongly what they keep alive shows that they are of no use."""
    if not kept.inspected or kept.alone < MOST * kept.inspected:
        return Strength.IN_USE  # others use what they hold: that may be load
    if kept.closed >= MOST * kept.inspected:
        return Strength.CANNOT_END
    return Strength.PERMANENT if delay is not None else Strength.NONE
