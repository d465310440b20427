"""Follows callbacks that are queued anew in every iteration of a loop that never sleeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model import LoopTurns, Rearmed


ENOUGH = 20
"""Looks below which a loop was not really looked at."""

GRACE = 30.0
"""Seconds for which a loop that never sleeps is taken to spin although a look does not show it."""


@dataclass(frozen=True, slots=True)
class Spinning:
    """``rearmed`` has been queued in every iteration of a loop since ``since``; ``turns``: the last look."""

    turns: LoopTurns
    rearmed: Rearmed
    since: float

    @property
    def lasted(self) -> float:
        return self.turns.monotonic - self.since


class Spins:
    """What spins as of the last look.

    On a crowded machine a look may find a callback running rather than queued, or no time to count its
    iterations.  So what was known stands for ``GRACE``, as long as its loop never sleeps and goes on running
    it.
    """

    def __init__(self) -> None:
        self.found: tuple[Spinning, ...] = ()
        self._known: dict[tuple[object, ...], Spinning] = {}
        self._seen: dict[tuple[object, ...], float] = {}  # when each was last found in every iteration

    def note(self, turns: Iterable[LoopTurns]) -> None:
        """Takes the newest look at every loop."""
        found: dict[tuple[object, ...], Spinning] = {}
        for each in turns:
            for key, before in self._known.items():
                if key[0] == each.loop and _may_go_on(before, each, self._seen[key]):
                    found[key] = (
                        before if each.looks < ENOUGH else replace(before, turns=_counted(each, before))
                    )
            for rearmed in each.rearmed:
                on = rearmed.on.number if rearmed.on is not None else None
                key = (each.loop, rearmed.function, rearmed.frame, rearmed.task, on)
                known = self._known.get(key)
                since = known.since if known is not None else each.monotonic - each.seconds
                found[key] = Spinning(_counted(each, known), rearmed, since)
                self._seen[key] = each.monotonic
        self._known = found
        self._seen = {key: self._seen[key] for key in found}
        self.found = tuple(found.values())


def _may_go_on(known: Spinning, turns: LoopTurns, seen: float) -> bool:
    rearmed = known.rearmed
    ran = any(each.function == rearmed.function for each in turns.callbacks)
    late = turns.monotonic - seen > GRACE
    return turns.looks < ENOUGH or (rearmed.on is None and not turns.asleep and ran and not late)


def _counted(turns: LoopTurns, known: Spinning | None) -> LoopTurns:
    """With the iterations counted before, if there was no time for it now."""
    if turns.iterations is not None or known is None:
        return turns
    return replace(turns, iterations=known.turns.iterations)
