"""Where executors' jobs are: on which thread, or in which queue."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from taskscope.agent.inspect import futures
from taskscope.agent.inspect.jobs import MAX_QUEUED, is_worker, job_of, pool_of, queued_in
from taskscope.agent.inspect.looking import attribute, class_name, number, pairs, text
from taskscope.agent.inspect.threads import ident_of, known_threads
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.waited import JOB_OF_TRIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Pool(NamedTuple):
    """``id`` of the executor; ``workers``: its threads' idents; ``most``: their maximum number, if known."""

    id: int
    name: str
    workers: tuple[int, ...]
    most: int | None

    def is_busy(self, workers: Workers) -> bool:
        """Whether all its threads run jobs, as many as there may be."""
        running = set(workers.running.values())
        full = self.most is None or len(self.workers) >= self.most
        return full and all(each in running for each in self.workers)


class Workers:
    """Ids of futures, valid while something waits for them."""

    def __init__(self) -> None:
        self.running: dict[int, int] = {}
        """The thread that runs a job."""
        self.queued: dict[int, int] = {}
        """The pool in whose queue a job waits."""
        self.pools: dict[int, Pool] = {}
        self.jobs: set[str] = set()
        """The bare names of the functions that run as jobs of thread pools, if jobs wait."""
        frames = sys._current_frames()
        running = []
        for thread in known_threads():
            ident = ident_of(thread)
            future = _running(frames.get(ident)) if ident is not None else None
            if future is not None and ident is not None:
                self.running[id(future)] = ident
                running.append(future)
        frames.clear()  # avoids a reference cycle
        alive = {id(each) for each in known_threads()}
        for queue, threads in _queues():
            idents = tuple(ident_of(each) or 0 for each in threads if id(each) in alive)
            pool = next((each for each in map(pool_of, threads) if each is not None), None)
            name = (
                text(attribute(pool, "_thread_name_prefix")) or class_name(pool) if pool is not None else ""
            )
            self.pools[id(queue)] = Pool(id(pool), name, idents, number(attribute(pool, "_max_workers")))
            for item in queued_in(queue)[:MAX_QUEUED]:
                future = attribute(item, "future")
                if future is not None and not futures.is_done(future):
                    self.queued[id(future)] = id(queue)
        if self.queued:
            self.jobs = {job_of(each).rpartition(".")[2] for each in running} - {""}


def _running(frame: FrameType | None) -> object:
    """The future of the job that a worker runs, or what stands for it."""
    while frame is not None:
        if is_worker(frame):
            names = variables_of(frame)
            item = names.get("work_item")
            return attribute(item, "future") if item is not None else names.get("future")
        if frame.f_code.co_qualname == JOB_OF_TRIO:
            return variables_of(frame).get("task_register")
        frame = frame.f_back
    return None


def _queues() -> Iterator[tuple[object, list[object]]]:
    """The queues of all thread pools with their threads, including pools whose threads have ended."""
    module = sys.modules.get("concurrent.futures.thread")
    if module is None:
        return
    found: dict[int, tuple[object, list[object]]] = {}
    for key, queue in pairs(attribute(vars(module).get("_threads_queues"), "data")):
        thread = key() if type(key) is ref else None
        if thread is not None:
            found.setdefault(id(queue), (queue, []))[1].append(thread)
    yield from found.values()
