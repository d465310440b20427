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
from taskscope.analysis.onset import Onset
from taskscope.analysis.strength import Strength
from taskscope.analysis.track import Track
from taskscope.analysis.verdict import judge
from taskscope.analysis.watched_site import Shown

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

REGULAR = 0.02
"""Largest spread of the delays, as a share of the longest, that counts as one delay."""


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
    """A group over time.  ``inspected``: when ``kept`` was found out.  ``delays``: how far ahead the last
    was due, at each look.
    """

    track: Track
    group: TimerGroup
    kept: KeptByTimers | None = None
    inspected: float = -math.inf
    delays: list[float] = field(default_factory=list)
    level: Shown = field(default_factory=Shown)

    def add(self, group: TimerGroup, now: float) -> None:
        self.group = group
        if group.kept is not None:
            self.kept, self.inspected = group.kept, now
        self.track.add(now, group.live, group.live, 0)
        self.delays = [*self.delays[-9:], group.furthest - now]

    @property
    def late(self) -> bool:
        """Whether it is worth judging."""
        return self.group.live >= FEWEST and not self.group.of_tasks and max(self.delays) >= LATE

    def delay(self, gap: float) -> float | None:
        """The delay that all are armed with, at most ``gap`` seconds apart; None if they differ."""
        longest = max(self.delays)
        same = longest - min(self.delays) <= max(REGULAR * longest, 3 * gap)
        return longest if same and len(self.delays) > 1 else None


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
                watched = _Watched(Track(now, BIN, recent=False), group)
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
        reading = growth.measure(watched.track.bins(self._now), self._now)
        if reading is None or watched.kept is None:
            return None
        delay = watched.delay(reading.gap)
        strength = _strength(watched.kept, delay)
        verdict = judge(reading, None, strength, uptime=reading.begun - self._started, record=True)
        level: Reading = "flat" if strength == Strength.IN_USE else verdict.level
        watched.level.follow(level, self._now, at_once=level == "leak")
        shown = watched.level.shown
        if shown == "flat":
            return None
        born = watched.group.nearest - delay if delay is not None else reading.since
        onset = Onset(min(max(self._started, born), reading.since), at_least=delay is None)
        return PiledUp(watched.group, watched.kept, reading, verdict, shown, delay, onset)


def _strength(kept: KeptByTimers, delay: float | None) -> Strength:
    """How strongly what they keep alive shows that they are of no use."""
    if not kept.inspected or kept.alone < MOST * kept.inspected:
        return Strength.IN_USE  # others use what they hold: that may be load
    if kept.closed >= MOST * kept.inspected:
        return Strength.CANNOT_END
    return Strength.PERMANENT if delay is not None else Strength.NONE
