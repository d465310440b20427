"""One executor of sixteen that gets its threads as they are needed.

Healthy.
Shows: one pool
Looks like: blocking call, pool saturated
"""

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor


async def main():
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(16)
    kept = set()
    while True:
        task = asyncio.ensure_future(loop.run_in_executor(pool, time.sleep, random.expovariate(0.5)))
        kept.add(task)
        task.add_done_callback(kept.discard)
        await asyncio.sleep(random.expovariate(3))


asyncio.run(main())
