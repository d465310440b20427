"""Answers ``stalls``: of a loop that sleeps with work to do, with who gave it that work, as far as it shows.

Searched for once, and only when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope.agent.inspect import queueing
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope import model
    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.inspect.walk import Job


def read(watch: LoopWatch) -> Job[tuple[model.Stall, ...]]:
    """Newest first."""
    for stall in watch.log.unsearched():
        handle = stall.head() if stall.head is not None else None
        stall.head = None
        if handle is not None:
            job = queueing.line_that_queued(handle, watch.threads().get(stall.loop, 0))
            del handle
            stall.queued_at = yield from job
    return watch.log.as_models(clock.monotonic())
