"""A lock is held, and an event waited for, until the first client comes; others wait for the lock.

Healthy.
Looks like: deadlock, nobody can set it
"""

import asyncio


class Gate:
    def __init__(self):
        self.opened = asyncio.Event()
        self.lock = asyncio.Lock()

    async def enter(self):
        async with self.lock:
            await self.opened.wait()

    async def client(self, reader, writer):
        self.opened.set()
        writer.close()


async def main():
    gate = Gate()
    async with await asyncio.start_server(gate.client, "127.0.0.1", 0):
        await asyncio.gather(*(gate.enter() for _ in range(3)))


asyncio.run(main())
