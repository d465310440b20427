"""Each batch has executors of its own, which are shut down when it is done.

Healthy.
Looks like: pool per call
"""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor, as_completed


def part():
    time.sleep(random.uniform(0.05, 2))


def batch():
    with ThreadPoolExecutor(6) as pool:
        for each in as_completed([pool.submit(part) for _ in range(random.randint(2, 12))]):
            each.result()


async def main():
    while True:
        await asyncio.gather(*(asyncio.to_thread(batch) for _ in range(random.randint(1, 3))))
        await asyncio.sleep(random.uniform(0, 4))


asyncio.run(main())
