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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS, AT_ONCE = 4, 50


def plain(loop: Any, coro: Any, **more: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **more)


class Nobody:
    """Counts nothing.  Like every counter: the factory that loops get, and what was counted."""

    def __init__(self, make: Any) -> None:
        self.factory = make

    def counted(self) -> tuple[int, int]:
        return 0, 0


class Counting(Nobody):
    """The agent of such builds, which only counts."""

    def __init__(self, make: Any) -> None:
        super().__init__(make)
        import taskscope

        taskscope.start("counted", interval=0.1)

    def counted(self) -> tuple[int, int]:
        import taskscope

        records = taskscope._agent.registry.task_records()
        ours = [each for each in records if each.site.coroutine in COROUTINES]
        return sum(each.born for each in ours), sum(each.ended for each in ours)


class Forced(Counting):
    """The agent of other builds, let in by force."""

    def __init__(self, make: Any) -> None:
        from taskscope import interpreter

        interpreter.is_free_threaded = lambda: False
        super().__init__(make)


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
COUNTERS = {"forced": Forced, "counting": Counting}


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
    print(sum(made), born, ended)


if __name__ == "__main__":
    main()
