"""Run in a child: one task parked at each primitive, named after it; prints the snapshot of all of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import socket
import sys
import threading
import time
from typing import Any

import taskscope
from taskscope.agent.walk import run

release = threading.Event()
kept: list[Any] = []


async def sleep() -> None:
    await asyncio.sleep(500)


async def queue_get(queue: asyncio.Queue[int]) -> None:
    await queue.get()


async def queue_put(queue: asyncio.Queue[int]) -> None:
    await queue.put(1)


async def queue_join(queue: asyncio.Queue[int]) -> None:
    await queue.join()


async def lock_holder(lock: asyncio.Lock) -> None:
    async with lock:
        await asyncio.Event().wait()


async def lock_waiter(lock: asyncio.Lock) -> None:
    async with lock:
        pass


async def semaphore(semaphore: asyncio.Semaphore) -> None:
    await semaphore.acquire()


async def condition() -> None:
    ready = asyncio.Condition()
    async with ready:
        await ready.wait()


async def event_with_timeout() -> None:
    async with asyncio.timeout(500):
        await asyncio.Event().wait()


async def barrier() -> None:
    await asyncio.Barrier(3).wait()


async def gather() -> None:
    await asyncio.gather(sleep(), sleep())


async def wait_() -> None:
    await asyncio.wait([asyncio.create_task(sleep()), asyncio.create_task(sleep())])


async def completed() -> None:
    for each in asyncio.as_completed([sleep(), sleep()]):
        await each


async def group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sleep())


async def task_(other: asyncio.Task[None]) -> None:
    await other


async def shielded(other: asyncio.Task[None]) -> None:
    await asyncio.shield(other)


async def future() -> None:
    await asyncio.get_running_loop().create_future()


def job() -> None:
    release.wait()


async def executor(pool: concurrent.futures.Executor) -> None:
    await asyncio.get_running_loop().run_in_executor(pool, job)


async def to_thread() -> None:
    await asyncio.to_thread(job)


async def read(reader: asyncio.StreamReader) -> None:
    await reader.readline()


async def write(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * (1 << 20))
        await writer.drain()


async def sock_recv(sock: socket.socket) -> None:
    await asyncio.get_running_loop().sock_recv(sock, 10)


async def process() -> None:
    child = await asyncio.create_subprocess_exec("sleep", "500")
    try:
        await child.wait()
    finally:
        child.kill()


async def serve(server: asyncio.Server) -> None:
    await server.serve_forever()


async def generator() -> None:
    async def numbers() -> Any:
        await asyncio.sleep(500)
        yield 1

    async for _ in numbers():
        pass


async def in_anyio() -> list[asyncio.Task[None]]:
    import anyio

    send, receive = anyio.create_memory_object_stream[int](1)
    send.send_nowait(1)
    other, empty = anyio.create_memory_object_stream[int](1)
    held = anyio.Lock()
    await held.acquire()

    async def anyio_send() -> None:
        await send.send(2)

    async def anyio_receive() -> None:
        await empty.receive()

    async def anyio_sleep() -> None:
        await anyio.sleep(500)

    async def anyio_event() -> None:
        await anyio.Event().wait()

    async def anyio_lock() -> None:
        await held.acquire()

    async def anyio_limiter() -> None:
        limiter = anyio.CapacityLimiter(1)
        await limiter.acquire_on_behalf_of("somebody")
        async with limiter:
            pass

    async def anyio_group() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)

    async def anyio_thread() -> None:
        await anyio.to_thread.run_sync(job)

    ways = [anyio_send, anyio_receive, anyio_sleep, anyio_event]
    ways += [anyio_lock, anyio_limiter, anyio_group, anyio_thread]
    kept.extend([send, receive, other, empty])
    return [asyncio.create_task(way(), name=way.__name__) for way in ways]


async def main() -> None:
    full: asyncio.Queue[int] = asyncio.Queue(1)
    full.put_nowait(1)
    lock = asyncio.Lock()
    taken = asyncio.Semaphore(1)
    await taken.acquire()
    near, far = socket.socketpair()
    near.setblocking(False)
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda reader, writer: accepted.set_result(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    pool = concurrent.futures.ThreadPoolExecutor(1)
    other = asyncio.create_task(sleep(), name="other")
    ways = {
        "sleep": sleep(),
        "queue_get": queue_get(asyncio.Queue()),
        "queue_put": queue_put(full),
        "queue_join": queue_join(full),
        "lock_holder": lock_holder(lock),
        "lock_waiter": lock_waiter(lock),
        "semaphore": semaphore(taken),
        "condition": condition(),
        "event_with_timeout": event_with_timeout(),
        "barrier": barrier(),
        "gather": gather(),
        "wait": wait_(),
        "as_completed": completed(),
        "group": group(),
        "task": task_(other),
        "shield": shielded(other),
        "future": future(),
        "executor": executor(pool),
        "to_thread": to_thread(),
        "read": read(reader),
        "write": write(writer),
        "sock_recv": sock_recv(near),
        "process": process(),
        "serve": serve(server),
        "generator": generator(),
    }
    tasks = [asyncio.create_task(coro, name=name) for name, coro in ways.items()]
    if "anyio" in sys.argv:
        tasks += await in_anyio()
    end = time.monotonic() + 20
    while time.monotonic() < end:  # until everything is parked and the pipe is full
        await asyncio.sleep(0.01)
        snapshot = taskscope.snapshot()
        parked = {task["name"]: task.get("parked", {}).get("wait") for task in snapshot["tasks"]}
        if "ready" not in parked.values() and parked.get("process") == "subprocess":
            break
    waiter = next(task for task in snapshot["tasks"] if task["name"] == "lock_waiter")
    assert taskscope._agent is not None
    detail = run(taskscope._agent.queries.task(waiter["serial"]))
    json.dump({"snapshot": snapshot, "held_by": [task.name for task in detail.held_by]}, sys.stdout)
    release.set()
    for task in [*tasks, other]:
        task.cancel()
    await asyncio.wait([*tasks, other])
    writer.transport.abort()
    (await accepted).transport.abort()
    server.close()
    for stream in kept:
        stream.close()
    far.close()
    near.close()
    await asyncio.sleep(0.05)


taskscope.start("parked", interval=5)
if "uvloop" in sys.argv:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
taskscope.stop()
