"""A refresher for each of the hundred entries used last.

Healthy.
"""

import asyncio
import random
from collections import OrderedDict

cache = OrderedDict()


async def refresh(key):
    while True:
        await asyncio.sleep(random.uniform(2, 5))


async def main():
    while True:
        key = min(int(random.expovariate(1 / 60)), 400)
        if key in cache:
            cache.move_to_end(key)
        else:
            cache[key] = asyncio.create_task(refresh(key))
        if len(cache) > 100:
            cache.popitem(last=False)[1].cancel()
        await asyncio.sleep(0.1)


asyncio.run(main())
