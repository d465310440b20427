"""Sites that start task after task, of which nothing comes: followed from look to look at the loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.analysis.spinning import ENOUGH, GRACE
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taskscope.model import LoopTurns, Site, Starting
    from taskscope.model.state import SiteState

ALWAYS = 0.95
"""Share of the looks that counts as all: a crowded machine may interrupt a loop anywhere."""

QUICK = 0.0003
"""CPU seconds per task up to which it only asks whether there is anything to do."""


@dataclass(frozen=True, slots=True)
class Fruitless:
    """``starting`` has started tasks for nothing since ``since``; ``turns``: the last look at its loop."""

    turns: LoopTurns
    starting: Starting
    site: Site
    since: float

    @property
    def lasted(self) -> float:
        return self.turns.monotonic - self.since

    @property
    def rate(self) -> float:
        """Births per second."""
        return self.starting.births / self.turns.seconds

    @property
    def sleeps(self) -> bool:
        """Whether the loop sleeps between the tasks."""
        return self.turns.asleep > 0

    @property
    def all_broken_off(self) -> bool:
        broken_off = self.starting.broken_off
        return 0 < broken_off >= ALWAYS * (broken_off + self.starting.finished)


class _Known(NamedTuple):
    turns: LoopTurns
    starting: Starting
    since: float


class FruitlessStarts:
    """What was found at the last look, or shortly before by one that a crowded machine left no time for."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], _Known] = {}

    def note(self, turns: Iterable[LoopTurns]) -> None:
        """Takes the newest look at every loop."""
        known: dict[tuple[int, int], _Known] = {}
        for each in turns:
            seen = {starting.site for starting in each.starting}
            known |= {
                key: before
                for key, before in self._known.items()
                if key[0] == each.loop and key[1] not in seen and _may_go_on(before, each)
            }
            for starting in each.starting if each.looks >= ENOUGH else ():
                if _is_for_nothing(each, starting):
                    key = (each.loop, starting.site)
                    known[key] = self._newer(_Known(each, starting, each.monotonic - each.seconds), key)
        self._known = known

    def _newer(self, seen: _Known, key: tuple[int, int]) -> _Known:
        """What is known now; one that had no time to compare everything takes nothing back."""
        before = self._known.get(key)
        if before is None:
            return seen
        surer = before.starting.whole and not seen.starting.whole and _may_go_on(before, seen.turns)
        return before if surer else seen._replace(since=before.since)

    @property
    def any(self) -> bool:
        return bool(self._known)

    def found(self, sites: Mapping[int, SiteState]) -> tuple[Fruitless, ...]:
        return tuple(
            Fruitless(turns, starting, sites[id].site, since)
            for (_, id), (turns, starting, since) in self._known.items()
            if id in sites
        )


def _may_go_on(known: _Known, turns: LoopTurns) -> bool:
    """Whether it may just have got no time, at a look that shows nothing of it."""
    awake = known.turns.asleep > 0 or not turns.asleep
    return turns.monotonic - known.turns.monotonic <= GRACE and awake


def _is_for_nothing(turns: LoopTurns, starting: Starting) -> bool:
    quick = turns.cpu is not None and turns.cpu * turns.seconds <= QUICK * starting.births
    alone = starting.others <= (1 - ALWAYS) * starting.looks
    return quick and alone and not starting.changes and not starting.counts
