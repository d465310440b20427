"""Two thousand reports are handed to a pool of four at once: they wait for minutes, and drain.

Healthy.
Looks like: pool saturated, deadlock
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor


async def main():
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(4)
    await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 0.6) for _ in range(2000)))


asyncio.run(main())
