"""Run in a child: every way to make a task, each with a coroutine of its own, at a line marked with its name.

Prints one JSON object: the snapshot taken while all of them live.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

import taskscope

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine


mode = sys.argv[1]
started = 0
gate: asyncio.Event
kept: list[Any] = []


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
    return asyncio.get_running_loop().create_task(coro)


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


async def shielded() -> None:
    await asyncio.shield(way("shield")())  # @ shield


async def timed() -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(way("timeout")())  # @ timeout


async def waited() -> None:
    await asyncio.wait([asyncio.create_task(way("wait")())])  # @ wait


def stepping(name: str) -> AsyncGenerator[int, None]:
    """An async generator called ``name``."""

    async def numbers() -> AsyncGenerator[int, None]:
        await live()
        yield 1

    numbers.__qualname__ = numbers.__name__ = name
    numbers.__code__ = numbers.__code__.replace(co_name=name, co_qualname=name)
    return numbers()


class Connection(asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        kept.append(asyncio.ensure_future(way("protocol")()))  # @ protocol


def readable(sock: socket.socket) -> None:
    asyncio.get_running_loop().remove_reader(sock)
    kept.append(asyncio.create_task(way("add_reader")()))  # @ add_reader


def later(links: int) -> None:
    if links:
        asyncio.get_running_loop().call_soon(later, links - 1)
    else:
        kept.append(asyncio.create_task(way("chain")()))  # @ chain


async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await live()
    writer.close()


async def in_callbacks() -> None:
    """Where no line of the program stands on the stack, or only that of a callback."""
    loop = asyncio.get_running_loop()
    loop.call_soon(loop.create_task, way("call_soon_direct")())
    loop.call_later(0.001, asyncio.ensure_future, way("call_later_direct")())
    loop.call_later(0.001, later, 3)
    here, there = socket.socketpair()
    here.setblocking(False)
    there.send(b"x")
    loop.add_reader(here, readable, here)
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    other = await loop.create_server(Connection, "127.0.0.1", 0)
    writers = [(await asyncio.open_connection(*each.sockets[0].getsockname()))[1] for each in (server, other)]
    writers[1].write(b"x")
    await gate.wait()
    closing: tuple[Any, ...] = (*writers, here, there, server, other)
    for each in closing:
        each.close()


async def in_anyio() -> None:
    import anyio

    async with anyio.create_task_group() as group:
        group.start_soon(way("anyio_start_soon"))  # @ anyio_start_soon
        await gate.wait()


async def in_scope() -> None:
    import anyio

    with anyio.move_on_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(way("anyio_scope"))  # @ anyio_scope
            with anyio.CancelScope():
                await gate.wait()


async def started_by_anyio() -> None:
    import anyio

    async def anyio_start(*, task_status: Any) -> None:
        task_status.started()
        await live()

    async with anyio.create_task_group() as group:
        await group.start(anyio_start)  # @ anyio_start


async def in_worker_thread() -> None:
    import anyio
    import anyio.from_thread

    def ask() -> None:
        anyio.from_thread.run(way("anyio_from_thread"))  # @ anyio_from_thread

    await anyio.to_thread.run_sync(ask)


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
    kept[:] = [
        asyncio.create_task(way("create_task")(), name="named"),  # @ create_task
        loop.create_task(way("loop_create_task")()),  # @ loop_create_task
        asyncio.ensure_future(way("ensure_future")()),  # @ ensure_future
        spawn(way("helper")()),  # @ helper
        asyncio.create_task(in_a_group()),
        asyncio.create_task(gathered()),
        asyncio.create_task(completed()),
        asyncio.create_task(waited_for()),
        asyncio.create_task(shielded()),
        asyncio.create_task(timed()),
        asyncio.create_task(waited()),
        asyncio.create_task(in_callbacks()),
        asyncio.ensure_future(stepping("asend").asend(None)),  # @ asend
        asyncio.ensure_future(anext(stepping("anext"))),  # @ anext
        asyncio.ensure_future(anext(stepping("anext_with_default"), 0)),  # @ anext_with_default
        asyncio.gather(anext(stepping("gathered_anext"), 0)),  # @ gathered_anext
    ]
    stray = asyncio.Task(way("constructed")())  # @ constructed
    cancelled = asyncio.create_task(stubborn())  # @ stubborn
    loop.call_soon(lambda: kept.append(loop.create_task(way("callback")())))  # @ callback
    if "anyio" in sys.argv:
        ways = (in_anyio, in_scope, started_by_anyio, in_worker_thread)
        kept.extend(asyncio.create_task(each()) for each in ways)
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
    expected = 25 + 4 * ("anyio" in sys.argv) + (mode == "foreign-after")
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
