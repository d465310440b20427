"""Executors: which pool a thread works for, and which function runs, or will run, for a future."""

from __future__ import annotations

import gc
import sys
import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

from taskscope import model
from taskscope.agent.variables import variables_of
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

MAX_QUEUED = 10_000
"""Jobs of one pool looked at."""

FRESH = 0.05
"""Seconds for which the list of jobs is not made anew: many tasks that wait for jobs are asked at once."""


def executor_of(thread: Any) -> model.Executor | None:
    """The pool whose worker (or manager) ``thread`` is."""
    if _is_anyio_worker(thread):
        return _anyio_pool(thread)
    pool = _pool(thread)
    if pool is None:
        return None
    processes = getattr(pool, "_processes", None)
    return model.Executor(
        name=str(getattr(pool, "_thread_name_prefix", "") or type(pool).__name__),
        workers=len(getattr(pool, "_threads", ()) if processes is None else processes),
        max_workers=int(getattr(pool, "_max_workers", 0)),
        queued=pool._work_queue.qsize() if processes is None else _waiting(pool),
        id=id(pool),
    )


def is_worker(frame: FrameType | None) -> bool:
    """Whether this is an executor's worker itself, not a job that it runs."""
    if frame is None:
        return False
    name, file = frame.f_code.co_qualname, frame.f_code.co_filename
    return (name == "_worker" and "/concurrent/" in file) or (
        name == "WorkerThread.run" and "/anyio/" in file
    )


def _pool(thread: Any) -> Any | None:
    reference = getattr(thread, "executor_reference", None)  # the thread that manages a pool of processes
    if reference is None and getattr(getattr(thread, "_target", None), "__name__", "") == "_worker":
        reference = next(iter(getattr(thread, "_args", None) or ()), None)
    pool = reference() if isinstance(reference, ref) else None
    return pool if hasattr(pool, "_work_queue") or hasattr(pool, "_pending_work_items") else None


def _waiting(pool: Any) -> int:
    """Jobs of a pool of processes that none of them has begun, as far as it can be told here."""
    items = list((getattr(pool, "_pending_work_items", None) or {}).values())
    return sum(1 for item in items if not item.future.running())


def _is_anyio_worker(thread: Any) -> bool:
    kind = type(thread)
    return kind.__name__ == "WorkerThread" and kind.__module__ == "anyio._backends._asyncio"


def _anyio_pool(thread: Any) -> model.Executor:
    """anyio's threads each have a queue of their own; how many there may be is up to a limiter."""
    return model.Executor(
        name="anyio worker threads",
        workers=len(getattr(thread, "workers", ())),
        max_workers=0,
        queued=0,
        id=id(getattr(thread, "workers", None)),
    )


# -- what runs for a future --------------------------------------------------------------------------


class _Jobs:
    """The functions of all jobs queued or running, by future; made anew when asked and no longer fresh."""

    def __init__(self) -> None:
        self._made = 0.0
        self._names: dict[int, tuple[ref[Any], str]] = {}

    def name(self, future: Any) -> str:
        found = self._known(future)
        if not found and clock.monotonic() - self._made > FRESH:
            items = [(item.future, _function(item)) for item in _items() if hasattr(item, "future")]
            self._names = {id(each): (ref(each), name) for each, name in items}
            self._made = clock.monotonic()
            found = self._known(future)
        return found

    def _known(self, future: Any) -> str:
        reference, name = self._names.get(id(future), (None, ""))
        return name if reference is not None and reference() is future else ""


_jobs = _Jobs()


def job_of(future: Any) -> str:
    """The name of the function that an executor runs, or will run, for a concurrent future; "" if unknown."""
    return _jobs.name(future)


def _items() -> Iterator[Any]:
    """Work items of every pool, running ones and queued ones."""
    frames = sys._current_frames()
    queues: dict[int, Any] = {}
    for thread in list(vars(threading)["_active"].values()):
        pool = _pool(thread)
        if pool is None:
            continue
        yield from list((getattr(pool, "_pending_work_items", None) or {}).values())
        running = _running(frames.get(thread.ident))
        if running is not None:
            yield running
        queues[id(pool)] = getattr(pool, "_work_queue", None)
    for queue in queues.values():
        yield from _queued(queue)


def _running(frame: FrameType | None) -> Any:
    while frame is not None:
        if is_worker(frame):
            return variables_of(frame).get("work_item")
        frame = frame.f_back
    return None


def _queued(queue: Any) -> list[Any]:
    """What stands in a SimpleQueue, which has no way to be looked into but the garbage collector's."""
    found: list[Any] = []
    for each in gc.get_referents(queue):
        found.extend(each if isinstance(each, list) else [each])
        if len(found) > MAX_QUEUED:
            break
    return found[:MAX_QUEUED]


def _function(item: Any) -> str:
    """The name of what a work item calls, without the wrappers that asyncio puts around it."""
    function: Any = getattr(item, "fn", None) or getattr(item, "task", (None,))[0]
    while hasattr(function, "func"):  # a partial
        inner = function.func
        wraps = getattr(inner, "__qualname__", "") == "Context.run" and function.args
        function = function.args[0] if wraps else inner
    return str(getattr(function, "__qualname__", type(function).__qualname__))
