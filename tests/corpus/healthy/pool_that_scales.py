"""A pool that goes up and down between 5 and 30 workers.

Healthy.
"""

import asyncio
import math
import time


async def worker():
    while True:
        await asyncio.sleep(0.4)


async def main():
    workers = []
    while True:
        wanted = round(17 + 12 * math.sin(time.monotonic() / 12))
        while len(workers) < wanted:
            workers.append(asyncio.create_task(worker()))
        while len(workers) > wanted:
            workers.pop(0).cancel()
        await asyncio.sleep(1)


asyncio.run(main())
