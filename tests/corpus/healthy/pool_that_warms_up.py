"""A connection pool that fills fast at first, then ever slower.

Healthy.
"""

import asyncio
import random


class Connection:
    def __init__(self):
        self.inbox = asyncio.Queue()
        self.task = asyncio.create_task(self.read())

    async def read(self):
        while True:
            await self.inbox.get()


async def main():
    pool, wait = [], 0.1
    while True:
        if len(pool) < 80:
            pool.append(Connection())
            wait *= 1.06
        random.choice(pool).inbox.put_nowait(b"x")
        await asyncio.sleep(min(wait, 5))


asyncio.run(main())
