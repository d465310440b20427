"""Run in a child: every way to make a task, each with a coroutine of its own, at a line marked with its name.

Prints one JSON object: the snapshot taken while all of them live.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import taskscope

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


mode = sys.argv[1]
started = 0
gate: asyncio.Event


async def live() -> None:
    global started
    started += 1
    await gate.wait()


def way(name: str) -> Callable[[], Coroutine[Any, Any, None]]:
    """A coroutine function called ``name`` that lives until the gate opens."""

    async def body() -> None:
        await live()

    body.__qualname__ = body.__name__ = name
    body.__code__ = body.__code__.replace(co_name=name, co_qualname=name)
    return body


def spawn(coro: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coro)  # @ helper


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(way("task_group")())  # @ task_group
        await gate.wait()


async def gathered() -> None:
    await asyncio.gather(way("gather")(), way("gather")())  # @ gather


async def completed() -> None:
    for each in asyncio.as_completed([way("as_completed")()]):  # @ as_completed
        await each


async def waited_for() -> None:
    await asyncio.wait_for(way("wait_for")(), 60)  # @ wait_for


async def in_anyio() -> None:
    import anyio

    async with anyio.create_task_group() as group:
        group.start_soon(way("anyio_start_soon"))  # @ anyio_start_soon
        await gate.wait()


async def stubborn() -> None:
    while not gate.is_set():
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await live()


def other_thread(ready: threading.Event, done: threading.Event) -> None:
    async def main() -> None:
        inner = asyncio.Event()
        waiting = asyncio.create_task(way_of(inner)())  # @ other_loop
        await asyncio.sleep(0)
        ready.set()
        await asyncio.to_thread(done.wait)
        inner.set()
        await waiting

    asyncio.run(main())


def way_of(event: asyncio.Event) -> Callable[[], Coroutine[Any, Any, None]]:
    async def other_loop() -> None:
        await event.wait()

    return other_loop


async def main() -> None:
    global gate
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()
    kept = [
        asyncio.create_task(way("create_task")(), name="named"),  # @ create_task
        loop.create_task(way("loop_create_task")()),  # @ loop_create_task
        asyncio.ensure_future(way("ensure_future")()),  # @ ensure_future
        spawn(way("helper")()),
        asyncio.create_task(in_a_group()),
        asyncio.create_task(gathered()),
        asyncio.create_task(completed()),
        asyncio.create_task(waited_for()),
    ]
    stray = asyncio.Task(way("constructed")())
    cancelled = asyncio.create_task(stubborn())  # @ stubborn
    loop.call_soon(lambda: kept.append(loop.create_task(way("callback")())))  # @ callback
    if "anyio" in sys.argv:
        kept.append(asyncio.create_task(in_anyio()))
    if mode == "foreign-after":
        loop.set_task_factory(foreign_factory)
        assert loop.get_task_factory() is foreign_factory
        kept.append(asyncio.create_task(way("foreign")()))  # @ foreign
        ended = asyncio.create_task(fails())  # @ fails
        await asyncio.wait([ended])
        assert isinstance(ended.exception(), LookupError)
        del ended
    await asyncio.sleep(0)

    def from_thread() -> None:
        asyncio.run_coroutine_threadsafe(way("threadsafe")(), loop)  # @ threadsafe

    caller = threading.Thread(target=from_thread)
    caller.start()
    ready, done = threading.Event(), threading.Event()
    second = threading.Thread(target=other_thread, args=(ready, done), name="second loop")
    second.start()  # @ second_thread
    await asyncio.to_thread(ready.wait)
    await asyncio.to_thread(caller.join)
    cancelled.cancel()
    expected = 12 + ("anyio" in sys.argv) + (mode == "foreign-after")
    while started < expected + 1 or not hasattr(stray, "_taskscope_serial"):
        await asyncio.sleep(0.01)
    json.dump(taskscope.snapshot(), sys.stdout)
    done.set()
    gate.set()
    await asyncio.to_thread(second.join)
    await asyncio.gather(*kept, stray, cancelled)


async def fails() -> None:
    raise LookupError


def foreign_factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
    return asyncio.Task(coro, loop=loop, **kwargs)


def run() -> None:
    if mode == "eager":

        async def eager() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
            await main()

        asyncio.run(eager())
    elif mode == "uvloop":
        import uvloop

        uvloop.run(main())
    elif mode == "foreign-before":

        def new_loop() -> asyncio.AbstractEventLoop:
            loop = asyncio.new_event_loop()
            loop.set_task_factory(foreign_factory)
            return loop

        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(main())
    else:
        asyncio.run(main())  # @ main


taskscope.start("ways", interval=0.2)
run()
taskscope.stop()
