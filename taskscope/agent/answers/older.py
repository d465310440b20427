"""What tells of the past of a site: its tasks that are older than the agent, some of many."""

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

    from taskscope.agent.counts.registry import Chunk, Registry, SiteRecord
    from taskscope.agent.inspect.walk import Job

TOLD = 60
"""Tasks told of, evenly among all: to find one in its chunk takes 10 microseconds at most."""

LOOK_EVERY = 1.0
"""Seconds between two looks at asyncio's counter."""


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
    for place in _evenly(live):
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
    """Of the threads of one site: nobody saw who started those."""
    births = sorted(each.birth for each in threads if each.parent is None and each.birth is not None)
    live = sum(1 for each in threads if each.parent is None)
    return model.Older(live, tuple(births[place] for place in _evenly(len(births)))) if live else None


def _evenly(count: int) -> list[int]:
    """Places of ``TOLD`` among so many, the first and the last among them."""
    if count <= TOLD:
        return list(range(count))
    return [round(at * (count - 1) / (TOLD - 1)) for at in range(TOLD)]


class Counter:
    """How many tasks asyncio had numbered when the agent came, at least.

    By the newest living one, less all births since; each look may raise it.  A look costs 1 µs a site.
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
    except RuntimeError:  # it changes just now
        return None
    return reference() if reference is not None else None
