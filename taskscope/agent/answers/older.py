"""Evidence of a site's past: a sample of its tasks that are older than the agent."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import Chunk, SiteRecord
    from taskscope.agent.inspect.walk import Job

TOLD = 60
"""Most tasks sampled, evenly spaced: finding one in its chunk takes up to 10 µs."""

LOOK_EVERY = 1.0
"""Seconds between two estimates of asyncio's counter."""


def older_tasks(record: SiteRecord, counter: Counter) -> Job[model.Older | None]:
    """The older tasks of a site; None if there are none."""
    chunks = [chunk for chunk in list(record.chunks) if chunk.origin.site.known != "exact"]
    sizes = [len(chunk) for chunk in chunks]
    live = sum(sizes)
    if not live:
        return None
    births: list[float | None] = []
    numbers: list[int | None] = []
    ends = list(accumulate(sizes))
    for place in evenly(live):
        at = bisect_right(ends, place)
        reference = chunks[at].reference(place - ends[at] + sizes[at])
        task = reference() if reference is not None else None
        if task is not None:
            births.append(futures.birth_of(task))
            numbers.append(futures.number_of(task))
        del task
        if spent():
            yield
    return model.Older(live, tuple(births), tuple(numbers), (yield from counter.read()))


def older_threads(threads: Sequence[model.Thread]) -> model.Older | None:
    """The threads of a site that are older than the agent: their start was not observed."""
    births = sorted(each.birth for each in threads if each.parent is None and each.birth is not None)
    live = sum(1 for each in threads if each.parent is None)
    return model.Older(live, tuple(births[place] for place in evenly(len(births)))) if live else None


def evenly(count: int) -> list[int]:
    """Up to ``TOLD`` evenly spaced indexes, including the first and the last."""
    if count <= TOLD:
        return list(range(count))
    return [round(at * (count - 1) / (TOLD - 1)) for at in range(TOLD)]


class Counter:
    """A lower bound on how many tasks asyncio had numbered when the agent started.

    It is the newest live task's number minus all births since; each estimate may raise it and costs 1 µs per
    site.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._next = 0.0

    def read(self) -> Job[int]:
        registry = self._registry
        if clock.monotonic() >= self._next:
            self._next = clock.monotonic() + LOOK_EVERY
            highest = births = 0
            for record in registry.task_records():
                births += record.born - record.adopted
                for chunk in list(record.chunks)[-1:]:
                    task = _last(chunk)
                    highest = max(highest, futures.number_of(task) or 0 if task is not None else 0)
                    del task
                if spent():
                    yield
            registry.counter = max(registry.counter, highest - births)
        return registry.counter


def _last(chunk: Chunk) -> object:
    try:
        reference = next(reversed(chunk.values()), None)
    except RuntimeError:  # it is changing right now
        return None
    return reference() if reference is not None else None
