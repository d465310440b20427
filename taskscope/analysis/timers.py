"""Which timers pile up: their number grows, they are due late, and they keep things alive.

A timer ends by itself, so the number of those that are armed with the same delay levels off after that delay.
Only timers due much later than anyone would watch are judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.analysis.clues import MOST
from taskscope.analysis.first_sight import Past
from taskscope.analysis.piles import Pile, Piles
from taskscope.analysis.strength import Strength
from taskscope.model import TimerGroup
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.analysis.piles import Grown
    from taskscope.model import KeptByTimers, Timers

LATE = 240.0
"""Seconds: timers due sooner level off before anyone would have to act."""

FEWEST = 20
"""Fewest timers to judge."""

SOON = 2.0
"""Seconds to watch before anything is said of delays, and within which times count as equal."""


@dataclass(frozen=True, slots=True)
class PiledUp:
    """Timers whose number grows.  ``delay``: seconds, if all are armed with the same."""

    group: TimerGroup
    kept: KeptByTimers
    grown: Grown
    delay: float | None

    @property
    def again(self) -> bool:
        """Whether most do what another one does as well."""
        return are_again(self.kept, self.group.live)


def are_again(kept: KeptByTimers, live: int) -> bool:
    return kept.again >= max(2, MOST * live)


@dataclass(slots=True)
class _Timers(Pile[TimerGroup]):
    """``furthest``: how far ahead the last was due, at most."""

    kept: KeptByTimers | None = None
    furthest: float = 0.0

    def add(self, latest: TimerGroup, count: int, now: float) -> None:
        Pile.add(self, latest, count, now)
        if latest.kept is not None:
            self.kept, self.inspected = latest.kept, now
        self.furthest = max(self.furthest, latest.furthest - now)

    @property
    def worth(self) -> bool:
        return self.latest.live >= FEWEST and not self.latest.of_tasks and self.furthest >= LATE

    def delay(self, started: float) -> float | None:
        """The delay that all are armed with; None if it differs, or is not known yet.

        If they have one, the last is due ever later, all that were armed since are due after what was the
        last then, and none was armed before the process began.
        """
        group, first, watched = self.latest, self.first, self.now - self.since
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


class PilingTimers(Piles[TimerGroup]):
    """Judges the timers of one target."""

    PILE = _Timers

    def add(self, timers: Timers) -> None:
        """Adds a look."""
        self.look(timers.monotonic, ((each.id, each, each.live) for each in timers.groups))

    @property
    def wanted(self) -> int:
        """The fewest timers of a group of which to ask what they keep alive; 0: of none."""
        return min((each.latest.live for each in self._suspected() if each.unknown), default=0)

    def found(self) -> Sequence[PiledUp]:
        """The groups that pile up, worst first."""
        every = [found for each in self._worth() if (found := self._judged(each))]
        every.sort(key=lambda each: (each.grown.level != "leak", -each.grown.verdict.rate))
        return every

    def _judged(self, pile: Pile[TimerGroup]) -> PiledUp | None:
        assert isinstance(pile, _Timers)
        if pile.kept is None:
            return None
        delay, kept = pile.delay(self._started), pile.kept
        grown = pile.judged(
            _strength(kept, pile.latest.live, delay),
            self._started,
            past=pile.past(delay, self._started) if delay is not None else None,
            takes={"rss": kept.each},
            born=pile.latest.nearest - delay if delay is not None else None,
        )
        return PiledUp(pile.latest, kept, grown, delay) if grown is not None else None


def _strength(kept: KeptByTimers, live: int, delay: float | None) -> Strength:
    """How strongly what they keep alive, or what another one does as well, shows that they are of no use."""
    if are_again(kept, live):
        return Strength.PERMANENT if delay is not None else Strength.NONE
    if not kept.inspected or kept.alone < MOST * kept.inspected:
        return Strength.IN_USE  # others use what they hold: that may be load
    if kept.closed >= MOST * kept.inspected:
        return Strength.CANNOT_END
    return Strength.PERMANENT if delay is not None else Strength.NONE
