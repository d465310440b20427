"""Tasks that wait for a future which is done, in a loop that sleeps with nothing to do: nobody wakes them.

Another thread has set the future at the wrong moment, or its callback was lost.  Finding them is a walk over
the tasks, so it is done as seldom as the search for tasks that were made without a factory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope.agent.counts.watched import Stall
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.walk import live_tasks
from taskscope.system import clock

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Container

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.watched import Watched
    from taskscope.agent.inspect.walk import Job


class Stranded:
    """Those of one loop: how many, and the first of them."""

    __slots__ = ("count", "task")

    def __init__(self, task: Any) -> None:
        self.task = ref(task)
        self.count = 0


def look(registry: Registry, idle: Container[int]) -> Job[dict[int, Stranded]]:
    """By ``id`` of the loop, of the loops whose ``id`` is in ``idle``."""
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


def judge(watched: Watched, here: Stranded | None, stalls: deque[Stall]) -> bool:
    """Notes what is seen again and ends what is over; whether it takes another look."""
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
        stalls.append(stall)
    return task is not None and not again
