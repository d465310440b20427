"""Follows callbacks that are queued anew in every iteration of a loop that never sleeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.model import LoopTurns, Rearmed


ENOUGH = 20
"""Looks below which a loop was not really looked at."""


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
    """What spins as of the last look.  A callback that one look does not find starts anew."""

    def __init__(self) -> None:
        self.found: tuple[Spinning, ...] = ()
        self._known: dict[tuple[object, ...], Spinning] = {}

    def note(self, turns: Iterable[LoopTurns]) -> None:
        """Takes the newest look at every loop."""
        found: dict[tuple[object, ...], Spinning] = {}
        for each in turns:
            if each.looks < ENOUGH:  # nothing can be said: what was known stands
                found |= {key: spin for key, spin in self._known.items() if key[0] == each.loop}
            for rearmed in each.rearmed:
                on = rearmed.on.number if rearmed.on is not None else None
                key = (each.loop, rearmed.function, rearmed.frame, rearmed.task, on)
                before = self._known.get(key)
                since = before.since if before is not None else each.monotonic - each.seconds
                found[key] = Spinning(each, rearmed, since)
        self._known = found
        self.found = tuple(found.values())
