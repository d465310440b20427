"""Loops in several threads of a free-threaded build, and what counts their tasks meanwhile, or reads them.

``free_threaded_target.py WHAT SECONDS [eager]`` prints the tasks made, and the births and ends counted.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import sys
import threading
import time
from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS, AT_ONCE = 4, 50
OWN = 2
"""Tasks of each loop's own, made as it ends."""


def plain(loop: Any, coro: Any, **more: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **more)


class Nobody:
    """Counts nothing.  Like every counter: the factory that loops get, and what was counted."""

    def __init__(self, make: Any) -> None:
        self.factory = make

    def counted(self) -> tuple[int, int]:
        return 0, 0


class Agent(Nobody):
    """Today's agent, let in by force."""

    def __init__(self, make: Any) -> None:
        super().__init__(make)
        import taskscope
        from taskscope import interpreter

        interpreter.is_free_threaded = lambda: False
        taskscope.start("forced", interval=0.1)
        agent: Any = taskscope._agent
        self._registry = agent.registry

    def counted(self) -> tuple[int, int]:
        records = [each for each in self._registry.task_records() if each.site.coroutine in COROUTINES]
        return sum(each.born for each in records), sum(each.ended for each in records)


class Cells(Nobody):
    """Counters that only their own thread writes: births in the factory, ends in a done callback."""

    def __init__(self, make: Any) -> None:
        super().__init__(self._factory)
        self._make = make
        self._cells: dict[int, dict[Any, list[int]]] = {}

    def _cell(self, key: Any) -> list[int]:
        mine = self._cells.get(threading.get_ident())
        if mine is None:
            mine = self._cells[threading.get_ident()] = {}
        return mine.setdefault(key, [0, 0])

    def _factory(self, loop: Any, coro: Any, **more: Any) -> Any:
        task, frame = self._make(loop, coro, **more), sys._getframe(1)
        while "/asyncio/" in frame.f_code.co_filename and frame.f_back is not None:
            frame = frame.f_back
        key = frame.f_code, frame.f_lasti
        self._cell(key)[0] += 1
        if task.done():
            self._cell(key)[1] += 1
        else:
            task.add_done_callback(lambda _: self._ended(key), context=Context())
        return task

    def _ended(self, key: Any) -> None:
        self._cell(key)[1] += 1

    def counted(self) -> tuple[int, int]:
        found = [each for mine in list(self._cells.values()) for each in list(mine.values())]
        return sum(born for born, _ in found), sum(ended for _, ended in found)


def tasks(loops: list[Any]) -> None:
    for task in [task for loop in list(loops) for task in asyncio.all_tasks(loop)]:
        coroutine: Any = task.get_coro()
        _ = getattr(coroutine, "cr_frame", None), getattr(coroutine, "cr_await", None), task.get_stack()


def frames(loops: list[Any]) -> None:
    for frame in sys._current_frames().values():
        at: Any = frame
        while at is not None:
            _, at = at.f_locals, at.f_back


READERS: dict[str, Callable[[list[Any]], object]] = {
    "gc.collect": lambda loops: gc.collect(),
    "tasks": tasks,
    "frames": frames,
}
COUNTERS = {"agent": Agent, "cells": Cells}


async def yields() -> None:
    await asyncio.sleep(0)


async def ends() -> None: ...


async def fails() -> None:
    raise ValueError


async def lasts() -> None:
    await asyncio.sleep(3600)


KINDS = (yields, ends, fails, lasts)
COROUTINES = {each.__name__ for each in KINDS}


async def works(counter: Nobody, loops: list[Any], end: float) -> int:
    """The tasks that it made."""
    loop, made = asyncio.get_running_loop(), 0
    loops.append(loop)
    loop.set_task_factory(counter.factory)
    while time.monotonic() < end:
        batch = [asyncio.create_task(KINDS[at % 4]()) for at in range(AT_ONCE)]
        made += len(batch)
        await asyncio.sleep(0)
        for each in batch[3::4]:
            each.cancel()
        await asyncio.gather(*batch, return_exceptions=True)
    return made


def main() -> None:
    what, seconds, *eager = sys.argv[1:]
    faulthandler.enable()
    counter = COUNTERS.get(what, Nobody)(getattr(asyncio, "eager_task_factory") if eager else plain)  # noqa: B009
    read: Callable[[list[Any]], object] = READERS.get(what, lambda _: counter.counted())
    end = time.monotonic() + float(seconds)
    loops: list[Any] = []
    made: list[int] = []

    def run() -> None:
        made.append(asyncio.run(works(counter, loops, end)))

    threads = [threading.Thread(target=run) for _ in range(LOOPS)]
    for each in threads:
        each.start()
    while time.monotonic() < end:
        read(loops)
        gc.collect()
        time.sleep(0.01)
    for each in threads:
        each.join()
    time.sleep(0.5)  # of the agent's, to sweep up
    born, ended = counter.counted()
    own = OWN * LOOPS if what == "cells" else 0
    print(sum(made), born - own, ended - own)


if __name__ == "__main__":
    main()
