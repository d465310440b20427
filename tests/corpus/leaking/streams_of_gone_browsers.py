"""Events are streamed to browsers through an anyio channel each; who is gone is not noticed.

Leak: stream
Rate: 36
Needs: anyio
Shows: nobody feeds it
"""

import random

import anyio


class Hub:
    def __init__(self, group):
        self.group = group
        self.channels = set()

    async def join(self):
        send, receive = anyio.create_memory_object_stream(100)
        self.channels.add(send)
        self.group.start_soon(stream, receive)  # LEAK
        await send.send("welcome")


async def stream(receive):
    async with receive:
        async for _ in receive:
            await anyio.sleep(0.01)


async def main():
    async with anyio.create_task_group() as group:
        hub = Hub(group)
        while True:
            await hub.join()
            await anyio.sleep(random.expovariate(0.6))


anyio.run(main)
