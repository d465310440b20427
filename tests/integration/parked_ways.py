"""Run in a child: one task parked at each primitive, named after it; prints the snapshot of all of them."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import json
import queue
import signal
import socket
import ssl
import sys
import threading
import time
from typing import Any

import taskscope
from taskscope.agent.inspect.walk import run
from taskscope.model import requests

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


async def in_variable(future: asyncio.Future[None]) -> None:
    await future


async def keeper(future: asyncio.Future[None]) -> None:
    await asyncio.sleep(500)


async def timed_out() -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 500)


class Client:
    """Keeps futures as clients do."""

    def __init__(self) -> None:
        self.replies: dict[int, asyncio.Future[None]] = {}
        self.reply: asyncio.Future[None] | None = None

    async def call(self) -> None:
        self.replies[7] = asyncio.get_running_loop().create_future()
        await self.replies[7]

    async def ask(self) -> None:
        self.reply = asyncio.get_running_loop().create_future()
        await self.reply


class Slotted:
    __slots__ = ("client", "waiters")

    def __init__(self) -> None:
        self.client = Client()
        self.waiters: collections.deque[asyncio.Future[None]] = collections.deque()

    async def wait(self) -> None:
        self.waiters.append(asyncio.get_running_loop().create_future())
        await self.waiters[-1]

    async def forward(self) -> None:
        future = self.client.reply = asyncio.get_running_loop().create_future()
        await future


async def in_module() -> None:
    PENDING["a"] = asyncio.get_running_loop().create_future()
    await PENDING["a"]


async def in_timer() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(500, future.set_result, None)
    await asyncio.wait_for(future, 600)


async def in_thread(jobs: queue.Queue[Any]) -> None:
    future = asyncio.get_running_loop().create_future()
    jobs.put(Elsewhere(future))
    await future


async def in_thread_variable(jobs: queue.Queue[Any]) -> None:
    future = asyncio.get_running_loop().create_future()
    jobs.put(future)
    await future


class Elsewhere:
    def __init__(self, future: asyncio.Future[None]) -> None:
        self.futures = [future]


def hold(jobs: queue.Queue[Any]) -> None:
    held = jobs.get()
    release.wait()
    del held


PENDING: dict[str, asyncio.Future[None]] = {}


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


async def tls(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await writer.start_tls(ssl.create_default_context(), server_hostname="localhost")
    finally:
        writer.transport.abort()


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


async def completed_async() -> None:
    async for each in asyncio.as_completed([sleep(), sleep()]):  # type: ignore[attr-defined]
        await each


async def dns() -> None:
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def connect() -> None:
    with contextlib.suppress(OSError):
        await asyncio.open_connection("localhost", 9)


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

    async def anyio_semaphore() -> None:
        async with anyio.Semaphore(0):
            pass

    async def anyio_condition() -> None:
        ready = anyio.Condition()
        async with ready:
            await ready.wait()

    async def anyio_scope() -> None:
        with anyio.move_on_after(500):
            await anyio.sleep(600)

    async def anyio_start() -> None:
        async def never(*, task_status: Any) -> None:
            await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            await tasks.start(never)

    async def anyio_accept() -> None:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            ports.put_nowait(listener.extra(anyio.abc.SocketAttribute.local_port))
            await listener.serve(anyio_hold)

    async def anyio_hold(stream: Any) -> None:
        async with stream:
            await anyio.Event().wait()

    async def anyio_read() -> None:
        async with await anyio.connect_tcp("127.0.0.1", await ports.get()) as stream:
            await stream.receive()

    async def anyio_process() -> None:
        process = await anyio.open_process(["sleep", "500"])
        try:
            await process.wait()
        finally:
            process.kill()
            with anyio.CancelScope(shield=True):
                await process.aclose()

    async def anyio_datagram() -> None:
        async with await anyio.create_udp_socket(local_host="127.0.0.1") as bound:
            await bound.receive()

    async def anyio_ready() -> None:
        here, there = socket.socketpair()
        with here, there:
            await anyio.wait_readable(here)

    async def anyio_signal() -> None:
        with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
            async for _ in signals:
                pass

    ports: asyncio.Queue[int] = asyncio.Queue()
    ways = [anyio_send, anyio_receive, anyio_sleep, anyio_event, anyio_semaphore, anyio_condition]
    ways += [anyio_lock, anyio_limiter, anyio_group, anyio_thread, anyio_scope, anyio_start]
    ways += [anyio_accept, anyio_read, anyio_process, anyio_signal, anyio_datagram, anyio_ready]
    kept.extend([send, receive, other, empty])
    return [asyncio.create_task(way(), name=way.__name__) for way in ways]


async def main() -> None:
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(2))
    full: asyncio.Queue[int] = asyncio.Queue(1)
    full.put_nowait(1)
    lock = asyncio.Lock()
    taken = asyncio.Semaphore(1)
    await taken.acquire()
    near, far = socket.socketpair()
    mute = socket.create_server(("127.0.0.1", 0))
    near.setblocking(False)
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda reader, writer: accepted.set_result(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    pool = concurrent.futures.ThreadPoolExecutor(1)
    other = asyncio.create_task(sleep(), name="other")
    shared = asyncio.get_running_loop().create_future()
    jobs: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=hold, args=(jobs,), daemon=True).start()
    direct: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=hold, args=(direct,), name="holder", daemon=True).start()
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
        "tls": tls(mute.getsockname()[1]),
        "sock_recv": sock_recv(near),
        "process": process(),
        "serve": serve(server),
        "generator": generator(),
        "timed_out": timed_out(),
        "in_dict": Client().call(),
        "in_attribute": Client().ask(),
        "in_deque": Slotted().wait(),
        "one_further": Slotted().forward(),
        "in_variable": in_variable(shared),
        "keeper": keeper(shared),
        "in_module": in_module(),
        "in_timer": in_timer(),
        "in_thread": in_thread(jobs),
        "in_thread_variable": in_thread_variable(direct),
    }
    del shared
    tasks = [asyncio.create_task(coro, name=name) for name, coro in ways.items()]
    if sys.version_info >= (3, 13):
        tasks.append(asyncio.create_task(completed_async(), name="completed_async"))
    if "anyio" in sys.argv:
        tasks += await in_anyio()
    end = time.monotonic() + 20
    while time.monotonic() < end:  # until everything is parked and the pipe is full
        await asyncio.sleep(0.01)
        snapshot = taskscope.snapshot()
        parked = {task["name"]: task.get("parked", {}) for task in snapshot["tasks"]}
        waits = {name: each.get("wait") for name, each in parked.items()}
        settled = "ready" not in waits.values() and "start_tls" in parked["tls"]["text"]
        if settled and waits["process"] == waits.get("anyio_process", "subprocess") == "subprocess":
            break
    last = asyncio.get_running_loop().run_in_executor(None, job)  # beside to_thread: no worker is left
    tasks += [asyncio.create_task(dns(), name="dns"), asyncio.create_task(connect(), name="connect")]
    await asyncio.sleep(0)  # they wait in line, or (uvloop) the loop has not looked for their answer yet
    snapshot = taskscope.snapshot()
    assert taskscope._agent is not None
    ask = taskscope._agent.queries.task
    pending = [task for task in snapshot["tasks"] if task["parked"]]
    details = {task["name"]: run(ask(requests.Task(task["serial"]))) for task in pending}
    held_by = [task.name for task in details["lock_waiter"].held_by]
    holders = {name: detail.holders for name, detail in details.items() if detail.holders}
    json.dump({"snapshot": snapshot, "held_by": held_by, "holders": holders}, sys.stdout)
    release.set()
    for task in [*tasks, other]:
        task.cancel()
    writer.transport.abort()  # 3.12's server waits for its connections
    (await accepted).transport.abort()
    server.close()
    await asyncio.wait([*tasks, other, last])
    for stream in kept:
        stream.close()
    for each in (far, near, mute):
        each.close()
    await asyncio.sleep(0.05)


taskscope.start("parked", interval=5)
if "uvloop" in sys.argv:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
taskscope.stop()
