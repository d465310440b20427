"""A pool gets a worker more whenever none is idle, up to sixty; the load grows for a minute.

Healthy.
"""

import asyncio
import random
import time


class Pool:
    def __init__(self):
        self.queue = asyncio.Queue()
        self.workers = []
        self.idle = 0

    def submit(self, job):
        if self.idle <= self.queue.qsize() and len(self.workers) < 60:
            self.workers.append(asyncio.create_task(self.work()))
        self.queue.put_nowait(job)

    async def work(self):
        while True:
            self.idle += 1
            job = await self.queue.get()
            self.idle -= 1
            await asyncio.sleep(job)


async def main():
    pool, begun = Pool(), time.monotonic()
    while True:
        pool.submit(random.expovariate(1))
        rate = 3 + min(time.monotonic() - begun, 60) / 2
        await asyncio.sleep(random.expovariate(rate))


asyncio.run(main())
