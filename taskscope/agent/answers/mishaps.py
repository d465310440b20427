"""Answers to: what goes wrong with single tasks?"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from taskscope import model
from taskscope.agent.inspect import futures, stacks
from taskscope.agent.inspect.looking import text
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

    from taskscope.agent.answers.retrying import Retrying
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

_SETS_ONE = ("timeout", "wait_for", "fail_after", "move_on_after", "deadline")
"""What a function mentions that limits how long something may take."""


class _Life(NamedTuple):
    birth: float
    end: float
    cut_short: bool

    @property
    def seconds(self) -> float:
        return self.end - self.birth


def read(registry: Registry, retrying: Retrying) -> Job[model.Mishaps]:
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
    retried = yield from retrying.read()
    return model.Mishaps(
        clock.monotonic(),
        tuple(failures[:MAX_FAILURES]),
        log.from_other_threads(),
        log.of_lost(),
        tuple(timed_out),
        retried,
    )


def _lives(registry: Registry) -> Job[dict[int, list[_Life]]]:
    """The tasks that ended recently, by site: ``cut_short`` are those that failed or were cancelled."""
    since = clock.monotonic() - RECENT
    found: dict[int, list[_Life]] = defaultdict(list)
    for _, site, _, outcome, _, birth, end in list(registry.ended):
        if birth is not None and end >= since and outcome in ("finished", "failed", "cancelled"):
            found[site].append(_Life(birth, end, outcome != "finished"))
        if spent():
            yield
    return found


def _timed_out(registry: Registry, site: int, lives: list[_Life]) -> model.TimedOut | None:
    """Lives of one length, and a time-out: those that end were cut short, or those that live may be."""
    typical = median(each.seconds for each in lives)
    alike = [each for each in lives if abs(each.seconds - typical) <= ALIKE * typical]
    if typical < SHORTEST or len(alike) < max(ENOUGH, MOST * len(lives)):
        return None
    record = registry.by_id[site]
    waiting: Counter[tuple[Wait, str, model.Frame, model.Frame | None]] = Counter()
    seen = sum(each.cut_short for each in alike) >= MOST * len(alike)
    for reference in islice(record.references(), LOOKED_AT):
        task = reference()
        if task is not None and not futures.is_done(task):
            frames = stacks.await_chain(futures.coroutine(task))
            parked = stacks.parked(task, frames)
            if parked is not None:
                waiting[parked.wait, parked.text, parked.frame, parked.user_frame] += 1
                seen = seen or any(_mentions_a_timeout(each.f_code) for each in frames)
    if not waiting or not seen:
        return None
    ((wait, what, frame, user), count), *_ = waiting.most_common(1)
    if wait in _OWN_PACE or count < MOST * waiting.total():
        return None
    ends = [each.end for each in alike]
    return model.TimedOut(
        site, len(lives), len(alike), typical, wait, what, frame, user, min(ends), max(ends)
    )


def _mentions_a_timeout(code: CodeType) -> bool:
    return any(each in name.lower() for name in _names(code) for each in _SETS_ONE)


def _names(code: CodeType) -> Iterator[str]:
    """Variables, attributes and keyword arguments."""
    for group in (code.co_names, code.co_varnames, *code.co_consts):
        if type(group) is tuple:
            yield from map(text, group)
