"""Fifty workers from the start, jobs at random.

Healthy.
Looks like: nobody feeds it
"""

import asyncio
import random


async def worker(queue):
    while True:
        await asyncio.sleep(await queue.get())
        queue.task_done()


async def main():
    queue = asyncio.Queue()
    workers = [asyncio.create_task(worker(queue)) for _ in range(50)]
    while workers:
        queue.put_nowait(random.uniform(0.01, 0.5))
        await asyncio.sleep(random.expovariate(20))


asyncio.run(main())
