"""Subscribers in an anyio task group that are never taken off.

Leak: subscriber
Rate: 60
Needs: anyio
Shows: nobody feeds it
"""

import anyio


async def subscriber(receive):
    async for _ in receive:
        pass


async def main():
    senders = []
    async with anyio.create_task_group() as group:
        while True:
            send, receive = anyio.create_memory_object_stream(5)
            senders.append(send)
            group.start_soon(subscriber, receive)  # LEAK
            await anyio.sleep(1)


anyio.run(main)
