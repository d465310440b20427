"""Stranded tasks: they wait for a future that is done, in an idle loop that nothing wakes.

Another thread set the future at the wrong moment, or its callback was lost.  Finding them takes a walk over
the tasks, so it runs as rarely as the search for tasks created without a factory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent.counts.stall import Stall
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.walk import live_tasks
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Container

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.stall import StallLog
    from taskscope.agent.counts.watched_loop import WatchedLoop
    from taskscope.agent.inspect.walk import Job


class Stranded:
    """The stranded tasks of one loop: their number, and the first."""

    __slots__ = ("count", "task")

    def __init__(self, task: Any) -> None:
        self.task = ref(task)
        self.count = 0


def look(registry: Registry, idle: Container[int]) -> Job[dict[int, Stranded]]:
    """The stranded tasks of the loops in ``idle``, by ``id`` of the loop."""
    found: dict[int, Stranded] = {}
    for task in live_tasks(registry.task_records()):
        if task is None:
            yield
            continue
        waiter = futures.waiter_of(task)
        if waiter is not None and futures.is_done(waiter) and id(loop := futures.loop_of(task)) in idle:
            found.setdefault(id(loop), Stranded(task)).count += 1
        del task, waiter
    return found


def judge(watched: WatchedLoop, here: Stranded | None, log: StallLog) -> bool:
    """Opens a stall if the same task is found twice, closes one that is over; whether to look again soon."""
    task = here.task() if here is not None else None
    again = task is not None and watched.strandable is not None and watched.strandable() is task
    watched.strandable = ref(task) if task is not None else None
    now = clock.monotonic()
    if not again:
        if watched.stranded is not None:
            watched.stranded.ended, watched.stranded = now, None
        watched.found_stranded = now
    elif watched.stranded is None and here is not None:
        stall = watched.stranded = Stall(watched.id, "stranded", watched.found_stranded, at_least=True)
        stall.queued = here.count
        stall.is_of(task)
        log.add(stall)
    return task is not None and not again
