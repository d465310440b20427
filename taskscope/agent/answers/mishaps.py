"""Answers to: what goes wrong with single tasks?"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import futures, stacks
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Wait

MAX_FAILURES = 100

RECENT = 60.0
"""Seconds of ended tasks that are compared."""

ENOUGH = 5
"""Fewest ended tasks that lived equally long."""

SHORTEST = 0.5
"""Seconds: a shorter life is no time-out."""

ALIKE = 0.05
"""Largest difference of lifetimes, as a share, of tasks that one time-out ended."""

MOST = 0.7
"""Share of the ended tasks of a site that lived equally long."""

LOOKED_AT = 20
"""Oldest live tasks of a site inspected."""

_OWN_PACE: tuple[Wait, ...] = ("sleep", "ready", "running", "unknown")
"""Waits that end a task at its own pace: of these, equal lifetimes say nothing."""


def read(registry: Registry) -> Job[model.Mishaps]:
    """The answer."""
    failures: list[model.Failure] = []
    for site in registry.failures.sites():
        failures += registry.failures.of(site)
        if spent():
            yield
    failures.sort(key=lambda each: -each.count)
    timed_out = []
    every = yield from _lives(registry)
    for site, lives in every.items():
        found = _timed_out(registry, site, lives)
        if found is not None:
            timed_out.append(found)
        if spent():
            yield
    log = registry.mishaps
    return model.Mishaps(
        clock.monotonic(),
        tuple(failures[:MAX_FAILURES]),
        log.from_other_threads(),
        log.of_lost(),
        tuple(timed_out),
    )


def _lives(registry: Registry) -> Job[dict[int, list[tuple[float, float]]]]:
    """Births and ends of tasks that ended recently, by site."""
    since = clock.monotonic() - RECENT
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for _, site, _, outcome, _, birth, end in list(registry.ended):
        if birth is not None and end >= since and outcome in ("finished", "failed", "cancelled"):
            found[site].append((birth, end))
        if spent():
            yield
    return found


def _timed_out(registry: Registry, site: int, lives: list[tuple[float, float]]) -> model.TimedOut | None:
    typical = median(end - birth for birth, end in lives)
    alike = [end for birth, end in lives if abs(end - birth - typical) <= ALIKE * typical]
    if typical < SHORTEST or len(alike) < max(ENOUGH, MOST * len(lives)):
        return None
    record = registry.by_id[site]
    waiting: Counter[tuple[Wait, str, model.Frame, model.Frame | None]] = Counter()
    for reference in islice(record.references(), LOOKED_AT):
        task = reference()
        if task is not None and not futures.is_done(task):
            frames = stacks.await_chain(futures.coroutine(task))
            parked = stacks.parked(task, frames)
            if parked is not None:
                waiting[parked.wait, parked.text, parked.frame, parked.user_frame] += 1
    if not waiting:
        return None
    ((wait, text, frame, user), count), *_ = waiting.most_common(1)
    if wait in _OWN_PACE or count < MOST * waiting.total():
        return None
    return model.TimedOut(
        site, len(lives), len(alike), typical, wait, text, frame, user, min(alike), max(alike)
    )
