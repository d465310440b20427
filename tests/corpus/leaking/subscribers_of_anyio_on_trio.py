"""anyio on trio: each subscriber has a stream and a task that reads it; when it leaves, nobody closes them.

Needs: anyio, trio
Leak: forward
Rate: 60
Shows: nobody feeds it
"""

import anyio

subscribers = {}


async def forward(receive):
    async for _ in receive:
        pass


async def subscribe(number, group):
    subscribers[number], receive = anyio.create_memory_object_stream(10)
    group.start_soon(forward, receive)  # LEAK
    await subscribers[number].send("welcome")


async def main():
    async with anyio.create_task_group() as group:
        number = 0
        while True:
            number += 1
            await subscribe(number, group)
            await anyio.sleep(1)


anyio.run(main, backend="trio")
