"""Estimated births of tasks older than the agent.

asyncio numbers its unnamed tasks in creation order.  A sleeping task shows when its sleep began: its timer
less the delay.  It was born before that, or exactly then if this is its first wait.  So each such task bounds
the births of lower and higher numbers.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import futures, origins, stacks, timers
from taskscope.agent.inspect.looking import seconds
from taskscope.agent.inspect.paths import place_of
from taskscope.agent.inspect.variables import variables_of
from taskscope.system import clock

if TYPE_CHECKING:
    from types import FrameType

NARROW = 0.1
"""Widest interval, as a share of the age, for which a birth counts as known."""

_TIMERS = {"sleep": ("delay", "h"), "wait_for": ("timeout", "timeout_handle")}
"""By asyncio function: the variables that hold the delay and the timer."""


class Hint(NamedTuple):
    """A task was born at ``moment`` if ``exact``, else before."""

    moment: float
    exact: bool


class Span(NamedTuple):
    """A task was born between two times, most likely at ``likely``."""

    earliest: float
    latest: float
    likely: float

    def birth(self, now: float) -> float | None:
        """The birth, if the interval is narrow enough."""
        wide = self.latest - self.earliest > NARROW * (now - self.likely) + 0.05
        return None if wide else self.likely


def hint(task: object) -> Hint | None:
    """What a suspended task reveals about its birth, if anything."""
    frames = stacks.await_chain(futures.coroutine(task))
    for at, frame in enumerate(frames):
        code = frame.f_code
        names = _TIMERS.get(origins.name_of(code))
        if names is None or "/asyncio/" not in origins.file_of(code):
            continue
        began = _began(frame, names, futures.loop_of(task))
        if began is not None:
            first = all(place_of(each.f_code, each.f_lasti).first for each in frames[at + 1 :])
            return Hint(began, first)
    return None


def _began(frame: FrameType, names: tuple[str, str], loop: object) -> float | None:
    """When this asyncio call with a delay began."""
    variables = variables_of(frame)
    delay, left = seconds(variables.get(names[0])), timers.left(variables.get(names[1]), loop)
    if delay is None or left is None or not 0 < left <= delay:
        return None
    return clock.monotonic() - (delay - left)


class Dates:
    """Births of all tasks, interpolated from the hints of some, by number.  ``start``: no task is older.

    Numbers are assumed to be assigned at a constant rate between known births.
    """

    def __init__(self, hints: dict[int, Hint], start: float, now: float) -> None:
        self._numbers = sorted(hints)
        moments = [hints[number].moment for number in self._numbers]
        self._latest = [*accumulate(reversed(moments), min, initial=now)][::-1]
        known = [(0, start)]
        for number, moment, latest in zip(self._numbers, moments, self._latest, strict=False):
            if hints[number].exact and known[-1][1] <= moment <= latest:
                known.append((number, moment))
        known.append(((self._numbers or [0])[-1] + 1, now))
        self._known_numbers, self._known = zip(*known, strict=True)

    def span(self, number: int) -> Span:
        """When the task with this number was born."""
        latest = self._latest[bisect_left(self._numbers, number)]
        at = bisect_right(self._known_numbers, number, 0, len(self._known) - 1) - 1
        since, until = self._known[at], self._known[at + 1]
        low, high = self._known_numbers[at : at + 2]
        share = min(1.0, (number - low) / (high - low)) if high > low else 0.0
        return Span(since, latest, min(since + share * (until - since), latest))
