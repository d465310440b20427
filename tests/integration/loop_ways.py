"""Run in a child: many short-lived loops, loops of other classes, and tasks of other classes.

Prints how many loops were known at most, what each kind of task was seen as while it lived, and the
snapshot at the end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import taskscope

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 300
left: list[asyncio.Task[None]] = []


async def ends() -> None:
    await asyncio.sleep(0)


async def fails() -> None:
    raise LookupError


async def stays() -> None:
    await asyncio.Event().wait()


async def short() -> None:
    await asyncio.gather(ends(), ends())
    left[:] = [asyncio.create_task(stays())]  # for the runner to cancel
    await asyncio.sleep(0)


class Slotted(asyncio.Task[Any]):
    __slots__ = ("extra",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.extra = 1


class Plain(asyncio.Task[Any]):
    """With attributes of its own and a destructor."""

    def __del__(self) -> None:
        super().__del__()


class Loop(asyncio.SelectorEventLoop):
    pass


def make(kind: type[asyncio.Task[Any]]) -> Any:
    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        return kind(coro, loop=loop, **kwargs)

    return factory


async def under(factory: Any) -> dict[str, Any]:
    asyncio.get_running_loop().set_task_factory(factory)
    tasks = [asyncio.create_task(stays(), name="named"), asyncio.create_task(ends())]
    failing = asyncio.create_task(fails())
    await asyncio.wait([tasks[1], failing])
    assert isinstance(failing.exception(), LookupError)
    known = taskscope.snapshot()
    return {
        "class": type(tasks[0]).__name__,
        "tasks": sorted((task["name"], task["coroutine"]) for task in known["tasks"] if task["parent"]),
        "loops": [loop["kind"] for loop in known["loops"] if loop["running"]],
    }


def seen(factory: Any, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> Any:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(under(factory))


def nested() -> None:
    """A loop in a thread that a coroutine of another loop waits for."""

    async def outer() -> None:
        thread = threading.Thread(target=asyncio.run, args=(short(),))
        thread.start()
        await asyncio.to_thread(thread.join)

    asyncio.run(outer())


taskscope.start("loops", interval=0.2)
assert taskscope._agent is not None
most = 0
for _ in range(RUNS):
    asyncio.run(short())
    most = max(most, len(taskscope._agent.watch._watched))
nested()
kinds = {
    "slotted": seen(make(Slotted)),
    "plain": seen(make(Plain), Loop),
    "none": seen(None, Loop),
}
if sys.version_info >= (3, 12):
    kinds["eager"] = seen(asyncio.eager_task_factory)
    kinds["eager slotted"] = seen(asyncio.create_eager_task_factory(Slotted), Loop)
left.clear()
gc.collect()
json.dump({"most": most, "kinds": kinds, "snapshot": taskscope.snapshot()}, sys.stdout)
taskscope.stop()
