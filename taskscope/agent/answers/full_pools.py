"""The lines at which tasks wait for a worker of a full pool, and the lines that submit its jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from taskscope.agent.answers import full_slots, standing
from taskscope.agent.inspect import futures, stacks, submitting, waited

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from taskscope import model
    from taskscope.agent.inspect.workers import Workers


class FullPools:
    """``workers``: where jobs are as the look began."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._behind: dict[int, Counter[model.Frame]] = defaultdict(Counter)
        self._submitted: dict[model.Frame, None] = {}

    def note(self, task: object) -> None:
        """Counts a task if its job waits for a worker, and notes the line if it submits such jobs."""
        if not self._workers.queued:
            return
        pool = self._workers.queued.get(id(waited.job_awaited_by(task)))
        frames = stacks.await_chain(futures.coroutine(task))
        line = standing.line_of(frames) if pool is not None else None
        if pool is not None and line is not None:
            self._behind[pool][line] += 1
        submits = submitting.submits(frames, self._workers.jobs)
        if submits is not None and len(self._submitted) < full_slots.MAX_LINES:
            self._submitted[submits] = None

    def found(self, still: Mapping[int, float], now: float) -> Iterator[model.FullPool]:
        """``still``: since when each thread that stands still has not moved."""
        yield from full_slots.pools(self._workers, still, self._behind, tuple(self._submitted), now)
