"""A program of trio's, or of anyio's on trio: tasks that wait in every way, and some that have ended."""

from __future__ import annotations

import functools
import sys
import time

import anyio
import trio


async def sleeper() -> None:
    await trio.sleep(3600)


async def waiter(event: trio.Event) -> None:
    await event.wait()


async def receiver(channel: trio.MemoryReceiveChannel[int]) -> None:
    await channel.receive()


async def sender(channel: trio.MemorySendChannel[int]) -> None:
    await channel.send(1)


async def locked(lock: trio.Lock) -> None:
    async with lock:
        pass


async def limited(limiter: trio.CapacityLimiter) -> None:
    async with limiter:
        pass


async def in_thread() -> None:
    await trio.to_thread.run_sync(time.sleep, 3600, abandon_on_cancel=True)


async def group() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(sleeper)  # @ in a group


async def handler(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def quick() -> None:
    await trio.sleep(0)


async def failing() -> None:
    raise ValueError("oh")


async def cancelled() -> None:
    await trio.sleep(3600)


async def endings() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(quick)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failing)
    except ExceptionGroup:
        pass
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(cancelled)
        await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def main() -> None:
    await endings()
    event, lock, limiter = trio.Event(), trio.Lock(), trio.CapacityLimiter(1)
    send, receive = trio.open_memory_channel[int](0)
    full, _unread = trio.open_memory_channel[int](0)
    await lock.acquire()
    limiter.acquire_on_behalf_of_nowait("nobody")
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(sleeper)  # @ sleepers
        nursery.start_soon(waiter, event)
        nursery.start_soon(receiver, receive)
        nursery.start_soon(sender, full)
        nursery.start_soon(locked, lock)
        nursery.start_soon(limited, limiter)
        nursery.start_soon(in_thread)
        nursery.start_soon(group)
        serve = functools.partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        client = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
        await trio.testing.wait_all_tasks_blocked(0.05)
        print("standing", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        nursery.start_soon(sleeper)  # @ later
        print("later", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        print(clean(), flush=True)
        del client, send
        nursery.cancel_scope.cancel()


def clean() -> str:
    """Whether nothing of an agent's is left in trio."""
    run = trio._core._run
    left = run.GLOBAL_RUN_CONTEXT.runner.instruments.data
    return "clean" if left == {"_all": {}} and not hasattr(run.setup_runner, "__wrapped__") else str(left)


async def anyio_sleeper() -> None:
    await anyio.sleep(3600)


async def anyio_main() -> None:
    _send, receive = anyio.create_memory_object_stream[int](1)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(anyio_sleeper)  # @ of anyio
        tasks.start_soon(receive.receive)
        tasks.start_soon(anyio.sleep_forever)
        await trio.testing.wait_all_tasks_blocked(0.05)
        print("standing", flush=True)


if __name__ == "__main__":
    import trio.testing

    if sys.argv[1:] == ["anyio"]:
        anyio.run(anyio_main, backend="trio")
    else:
        trio.run(main)
