"""An executor made for each request, never shut down.

Leak: _worker
Rate: 40
Shows: pool per call
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

pools = []


async def handle():
    pool = ThreadPoolExecutor(max_workers=2)  # LEAK
    pools.append(pool)
    await asyncio.get_running_loop().run_in_executor(pool, time.sleep, 0.01)  # LEAK


async def main():
    while True:
        await handle()
        await asyncio.sleep(1.49)


asyncio.run(main())
