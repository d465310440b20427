"""Counts the iterations of a loop that spins: nothing that can be read tells how often it turns.

A callback queues itself again for a few milliseconds.  Only a loop that a callback of its own keeps awake
gets one: it cannot wake it, and a loop that is merely busy is left alone.
"""

from __future__ import annotations

import contextvars
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from taskscope.agent.inspect import turns
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.hooks.parts import Part
    from taskscope.agent.inspect.walk import Job

MOST, SECONDS = 200, 0.03
"""Iterations counted, and most seconds spent on them."""

PATIENCE = 1.0
"""Seconds after which a loop is left that still has not run it: on a crowded machine it takes a while."""


def paced(part: Part, loop: Any) -> Job[float | None]:
    """Iterations per second; None if there were too few, or the loop queues callbacks its own way."""
    call, again = (turns.own_method(loop, name) for name in ("call_soon_threadsafe", "call_soon"))
    if call is None or again is None:
        return None
    pace = Pace(part, again)
    part.arm(_begin, part, pace, call)
    del loop, call, again
    until = clock.monotonic() + PATIENCE
    while not pace.done and clock.monotonic() < until:
        yield
    part.undo()
    return pace.rate


def _begin(part: Part, pace: Pace, call: Any) -> None:
    part.on_undo(pace.end)
    with suppress(RuntimeError):  # closed meanwhile
        pace.handle = call(pace, context=pace.context)


class Pace:
    """The callback.  Inert once ended, by whichever thread."""

    def __init__(self, part: Part, again: Any) -> None:
        self.context = contextvars.Context()
        self.handle: Any = None
        self.done = False
        self._part = part
        self._again = again
        self._count = 0
        self._first = self._last = 0.0

    def __call__(self) -> None:
        """Runs in the loop."""
        if self.done:
            return
        try:
            self._turn()
        except Exception as error:  # noqa: BLE001  (an outer edge: the loop must not see it)
            self._part.fail(error)

    def _turn(self) -> None:
        self._last = clock.perf_counter()
        self._count += 1
        if self._count == 1:
            self._first = self._last
        if self._count > MOST or self._last - self._first > SECONDS:
            self.done = True
            return
        self.handle = self._again(self, context=self.context)
        if self.done:  # ended meanwhile, by the other thread
            self.handle.cancel()

    def end(self) -> None:
        """Takes it out of the loop."""
        self.done = True
        if self.handle is not None:
            self.handle.cancel()

    @property
    def rate(self) -> float | None:
        """Iterations per second; None if there were too few."""
        took = self._last - self._first
        return (self._count - 1) / took if self._count > 2 and took > 0 else None
