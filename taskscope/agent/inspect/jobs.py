"""Executors: the pool of a worker thread, and the function that runs for a future."""

from __future__ import annotations

import gc
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from taskscope import model
from taskscope.agent.inspect import futures, origins
from taskscope.agent.inspect.looking import (
    attribute,
    called,
    class_name,
    column,
    items,
    module_of,
    number,
    size,
    text,
)
from taskscope.agent.inspect.variables import variables_of
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

MAX_QUEUED = 10_000
"""Jobs inspected per pool."""

MAX_POOLS = 100

FRESH = 0.05
"""Seconds the list of jobs is reused: many waiting tasks are inspected in a burst."""


def executor_of(thread: object) -> model.Executor | None:
    """The pool of which ``thread`` is a worker (or the manager)."""
    if _is_anyio_worker(thread):
        return _anyio_pool(thread)
    pool = pool_of(thread)
    if pool is None:
        return None
    processes = attribute(pool, "_processes")
    queued = _jobs_of(pool)
    return model.Executor(
        name=text(attribute(pool, "_thread_name_prefix")) or class_name(pool),
        workers=size(processes if processes is not None else attribute(pool, "_threads")) or 0,
        max_workers=number(attribute(pool, "_max_workers")) or 0,
        queued=queued.jobs,
        id=id(pool),
        more_queued=queued.more,
    )


def is_worker(frame: FrameType | None) -> bool:
    """Whether this is an executor's worker loop, not a job it runs."""
    if frame is None:
        return False
    name, file = text(frame.f_code.co_qualname), origins.file_of(frame.f_code)
    return (name == "_worker" and "/concurrent/" in file) or (
        name == "WorkerThread.run" and "/anyio/" in file
    )


def pool_of(thread: object) -> object:
    reference = attribute(thread, "executor_reference")  # the thread that manages a pool of processes
    if reference is None and called(attribute(thread, "_target")) == "_worker":
        reference = next(iter(items(attribute(thread, "_args"), 1)), None)
    pool = reference() if type(reference) is ref else None
    known = ("_work_queue", "_pending_work_items")
    return pool if any(attribute(pool, name) is not None for name in known) else None


class _Queued(NamedTuple):
    """Waiting jobs of ``pool``, counted at ``made`` among ``looked_at``; there may be ``more``."""

    pool: ref[object]
    made: float
    looked_at: int
    jobs: int
    more: bool


_queues: dict[int, _Queued] = {}


def _jobs_of(pool: object) -> _Queued:
    """Jobs of a pool that are not started and not cancelled.

    Cancelled ones are skipped when their turn comes; the shutdown sentinel in the queue is not a job.
    """
    pending = attribute(pool, "_pending_work_items")
    jobs = queued_in(attribute(pool, "_work_queue")) if pending is None else items(pending, MAX_QUEUED)
    known, now = _queues.get(id(pool)), clock.monotonic()
    if known is None or known.pool() is not pool or known.looked_at != len(jobs) or now - known.made > FRESH:
        if len(_queues) >= MAX_POOLS:
            _queues.clear()
        states = column(column(jobs, "future"), "_state")
        waiting = sum(1 for each in states if text(each) == "PENDING")
        known = _queues[id(pool)] = _Queued(ref(pool), now, len(jobs), waiting, len(jobs) >= MAX_QUEUED)
    return known


def _is_anyio_worker(thread: object) -> bool:
    return class_name(thread) == "WorkerThread" and module_of(type(thread)) == "anyio._backends._asyncio"


def _anyio_pool(thread: object) -> model.Executor:
    """anyio's worker threads, each with its own queue; a limiter bounds their number."""
    workers = attribute(thread, "workers")
    return model.Executor(
        name="anyio worker threads", workers=size(workers) or 0, max_workers=0, queued=0, id=id(workers)
    )


# -- the function of a future ------------------------------------------------------------------------


class _Jobs:
    """The functions of all queued and running jobs, by future; rebuilt on request when stale."""

    def __init__(self) -> None:
        self._made = 0.0
        self._names: dict[int, tuple[ref[object], str]] = {}

    def name(self, future: object) -> str:
        found = self._known(future)
        if not found and clock.monotonic() - self._made > FRESH:
            self._names = {}
            for item in _items():
                theirs = attribute(item, "future")
                if futures.state_of(theirs):
                    self._names[id(theirs)] = ref(theirs), _function(item)
            self._made = clock.monotonic()
            found = self._known(future)
        return found

    def _known(self, future: object) -> str:
        reference, name = self._names.get(id(future), (None, ""))
        return name if reference is not None and reference() is future else ""


_jobs = _Jobs()


def job_of(future: object) -> str:
    """The name of the function that an executor runs, or will run, for a concurrent future; "" if unknown."""
    return _jobs.name(future)


def _items() -> Iterator[object]:
    """Work items of every pool, running ones and queued ones."""
    frames = sys._current_frames()
    queues: dict[int, object] = {}
    for thread in list(vars(threading)["_active"].values()):
        pool = pool_of(thread)
        if pool is None:
            continue
        yield from items(attribute(pool, "_pending_work_items"), MAX_QUEUED)
        ident = number(attribute(thread, "_ident"))
        running = _running(frames.get(ident)) if ident is not None else None
        if running is not None:
            yield running
        queues[id(pool)] = attribute(pool, "_work_queue")
    frames.clear()  # avoids a reference cycle
    for queue in queues.values():
        yield from queued_in(queue)


def _running(frame: FrameType | None) -> object:
    while frame is not None:
        if is_worker(frame):
            return variables_of(frame).get("work_item")
        frame = frame.f_back
    return None


def queued_in(queue: object) -> list[object]:
    """The items of a SimpleQueue, which only the garbage collector can look into."""
    found: list[object] = items(attribute(queue, "queue"), MAX_QUEUED)  # some pools have one in Python
    for each in gc.get_referents(queue) if not found else ():
        found.extend(each[:MAX_QUEUED] if type(each) is list else [each])
        if len(found) > MAX_QUEUED:
            break
    return found[:MAX_QUEUED]


def _function(item: object) -> str:
    """The name of the function a work item calls, without asyncio's wrappers."""
    function = attribute(item, "fn")
    if function is None:  # since 3.14
        function = next(iter(items(attribute(item, "task"), 1)), None)
    return called(function)
