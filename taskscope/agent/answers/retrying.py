"""Errors that long-lived tasks swallow: they pause inside an ``except``, try again, and are there again.

Seen from two looks at the oldest tasks of each site; nothing is hooked.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent.counts.failures import places_of
from taskscope.agent.inspect import futures, stacks
from taskscope.agent.inspect.handling import handled
from taskscope.agent.inspect.looking import class_name
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.inspect.walk import Job

LOOKED_AT = 20
"""Oldest tasks looked at per site."""

MOST = 1_000
"""Tasks looked at: 5 µs each, 25 if it handles an error."""

RECENT = 60.0
"""Seconds for which what was seen is told: in between a task may be at its next try."""

_NONE_THERE = ("QueueEmpty", "Empty", "BlockingIOError")
"""They only say that there is nothing to do."""

_Key = tuple[int, str]


class Retrying:
    """Remembers the last look.  Weak references only."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._before: dict[int, tuple[str, ref[Any]]] = {}  # by serial: the error, and what is waited for
        self._known: dict[_Key, model.Retried] = {}

    def read(self) -> Job[tuple[model.Retried, ...]]:
        """One look."""
        before, self._before = self._before, {}
        now, left = clock.monotonic(), MOST
        for record in self._registry.task_records():
            left -= yield from self._look_at(record, before, now)
            if left <= 0:
                break
        self._known = {key: each for key, each in self._known.items() if each.last >= now - RECENT}
        return tuple(self._known.values())

    def _look_at(self, record: SiteRecord, before: dict[int, tuple[str, ref[Any]]], now: float) -> Job[int]:
        """Returns how many tasks were looked at."""
        looked_at, again, last = 0, dict[str, int](), dict[str, model.Retried]()
        for reference in islice(record.references(), LOOKED_AT):
            task = reference()
            if task is not None and not futures.is_done(task):
                looked_at += 1
                found = self._pause_of(task, record.id, now)
                if found is not None and self._is_back(task, found.error, before):
                    again[found.error] = again.get(found.error, 0) + 1
                    last[found.error] = found
            del task
            if spent():
                yield
        for kind, found in last.items():
            known = self._known.get((record.id, kind))
            first = known.first if known is not None else now
            self._known[record.id, kind] = replace(found, count=again[kind], looked_at=looked_at, first=first)
        return looked_at

    def _is_back(self, task: object, error: str, before: dict[int, tuple[str, ref[Any]]]) -> bool:
        """Whether it handled the same at the last look, and has slept and tried since."""
        waiter, serial = futures.waiter_of(task), futures.serial_of(task) or 0
        if waiter is None:
            return False
        self._before[serial] = error, ref(waiter)
        kind, where = before.get(serial, ("", None))
        return kind == error and where is not None and where() is not waiter

    def _pause_of(self, task: object, site: int, now: float) -> model.Retried | None:
        """The error after which a task sleeps, inside its ``except``."""
        error = handled(task)
        if error is None:
            return None
        kind = class_name(error)
        parked = stacks.parked(task, stacks.await_chain(futures.coroutine(task)))
        if parked is None or parked.wait != "sleep" or kind in _NONE_THERE:
            return None
        raised, user = places_of(error)
        where = parked.user_frame or parked.frame
        return model.Retried(site, kind, 0, 0, where, user or raised, now, now)
