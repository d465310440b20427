"""Of tasks that others wait for: those that nothing can wake, although the rest of the process goes on.

The proof (``inspect/stuck.py``) walks the heap, so it is made only for tasks that have stood still for a
while, and for a share of the time at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.answers.proofs import others_than
from taskscope.agent.inspect import futures, stuck, waited
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.island import OwnRef
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Wait

STILL = 8.0
"""Seconds for which a task has not moved before it is worth the walk."""

MOST = 20
"""Tasks examined in one walk."""

KEEP, SHARE = 30.0, 200
"""Seconds between two walks: at least so many, and this multiple of what the last one cost."""

_SET_BY_OTHERS: frozenset[Wait] = frozenset(("event", "condition", "future", "queue.put", "barrier"))
"""Waits that other code ends, as opposed to time, the kernel or an owner."""


class _Known(NamedTuple):
    since: float
    asked: float
    stuck: bool


class Unreached:
    """Keeps no reference to a task."""

    def __init__(self, registry: Registry, loops: Callable[[], list[object]]) -> None:
        self._registry = registry
        self._loops = loops
        self._known: dict[int, _Known] = {}
        self._next = 0.0

    def among(self, still: Mapping[int, float]) -> Job[set[int]]:
        """Serials of those that are stuck.  ``still``: since when each has not moved."""
        now = clock.monotonic()
        self._known = {
            serial: known
            for serial, known in self._known.items()
            if still.get(serial) == known.since and (known.stuck or now - known.asked < KEEP)
        }
        new = [each for each, since in still.items() if each not in self._known and now - since >= STILL]
        if new and now >= self._next:
            yield from self._prove(new[:MOST], still, now)
        return {serial for serial, known in self._known.items() if known.stuck}

    def _prove(self, serials: list[int], still: Mapping[int, float], now: float) -> Job[None]:
        begun = clock.thread_time()
        tasks = []
        for serial in serials:
            task = self._registry.find(serial)
            if (
                task is not None
                and type(task) is not StandIn  # whoever it shares a nursery with may have it cancelled
                and not futures.is_done(task)
                and waited.wait_of_task(task)[1] in _SET_BY_OTHERS
            ):
                tasks.append(OwnRef(task))
            del task
        found = {}
        if tasks:
            others = yield from others_than(None, self._registry.task_records())
            found = yield from stuck.wakings(tasks, self._loops(), others)
        for serial in serials:
            fate = found[serial].fate if serial in found else "may wake"
            self._known[serial] = _Known(still[serial], now, fate != "may wake")
        self._next = now + SHARE * (clock.thread_time() - begun)
