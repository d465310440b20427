"""Loops in several threads of a free-threaded Python, whose tasks end in every way, while others collect.

``counting_target.py ROUNDS`` prints what an agent has counted, by coroutine, and what it still holds:
``{"made": how many of each, "counted": {coroutine: counts}, "held": references, "failures": […]}``.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import json
import sys
import threading
import time
from collections import Counter
from typing import Any

import taskscope

LOOPS, AT_ONCE = 4, 20


async def yields() -> None:
    await asyncio.sleep(0)


async def returns() -> None: ...


async def fails() -> None:
    raise ValueError


async def lasts() -> None:
    await asyncio.Event().wait()


async def dropped() -> None:
    """Nothing but itself refers to it: a collection destroys it while it is pending."""
    await asyncio.Event().wait()


async def left() -> None:
    """Its loop is closed before its done callbacks run."""


async def elsewhere() -> None:
    """Its last reference goes in another thread."""
    await asyncio.Event().wait()


KINDS = (yields, returns, fails, lasts)
away: list[Any] = []
"""What another thread is to drop."""


def own(loop: Any, coro: Any, **more: Any) -> Any:
    """A factory of the program's."""
    return asyncio.Task(coro, loop=loop, **more)


def set_factory(loop: Any, number: int) -> None:
    """None, asyncio's eager one, the program's, or one that calls what the program is shown of ours."""
    eager: Any = asyncio.eager_task_factory  # type: ignore[attr-defined]
    loop.set_task_factory((None, eager, own, eager)[number % 4])
    if number % 4 == 3:
        inner = loop.get_task_factory()
        loop.set_task_factory(lambda loop, coro, **more: inner(loop, coro, **more))


async def works() -> None:
    batch = [asyncio.create_task(KINDS[at % 4]()) for at in range(AT_ONCE * 4)]
    for _ in range(AT_ONCE):
        asyncio.create_task(dropped())  # noqa: RUF006
        away.append(asyncio.create_task(elsewhere()))
    await asyncio.sleep(0)
    for each in batch[3::4]:
        each.cancel()
    await asyncio.gather(*batch, return_exceptions=True)
    for _ in range(AT_ONCE):
        asyncio.create_task(left())  # noqa: RUF006


def runs(rounds: range) -> None:
    for number in rounds:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        set_factory(loop, number)
        loop.run_until_complete(works())
        loop.close()


def counted() -> dict[str, dict[str, int]]:
    """The sums by coroutine: a factory of the program's makes another site."""
    snapshot, sums = taskscope.snapshot(), dict[str, Counter[str]]()
    names = {each["id"]: each["coroutine"] for each in snapshot["sites"]}
    for each in snapshot["sample"]["sites"]:
        sums.setdefault(names[each["site"]], Counter()).update(each["counts"])
    return {name: dict(counts) for name, counts in sums.items() if name != works.__name__}


def main() -> None:
    faulthandler.enable()
    taskscope.start("counting", interval=0.1)
    rounds, working = int(sys.argv[1]), True

    def collects() -> None:
        while working:
            gc.collect()
            time.sleep(0.001)

    def drops() -> None:
        while working or away:
            if away:
                away.pop()
            else:
                time.sleep(0.001)

    others = [threading.Thread(target=each) for each in (collects, drops)]
    loops = [threading.Thread(target=runs, args=(range(at, at + rounds),)) for at in range(LOOPS)]
    for each in (*others, *loops):
        each.start()
    for each in loops:
        each.join()
    working = False
    for each in others:
        each.join()
    gc.collect()
    agent = taskscope._agent
    print(
        json.dumps(
            {
                "made": LOOPS * rounds * AT_ONCE,
                "counted": counted(),
                "held": sum(len(each.living) for each in agent._ledgers._of.values()),
                "failures": [*agent.sampler.disarmed, *agent.registry.dropped],
            }
        )
    )


if __name__ == "__main__":
    main()
