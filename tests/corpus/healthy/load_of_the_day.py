"""Sessions of a few seconds whose number follows the hour of a day of 100 s.

Healthy.
Looks like: CPU climbs without tasks
"""

import asyncio
import math
import random
import time


async def session():
    await asyncio.sleep(random.expovariate(1 / 6))


async def main():
    kept = set()
    while True:
        rate = 6 + 5 * math.sin(time.monotonic() * 2 * math.pi / 100)
        task = asyncio.create_task(session())
        kept.add(task)
        task.add_done_callback(kept.discard)
        await asyncio.sleep(random.expovariate(rate))


asyncio.run(main())
