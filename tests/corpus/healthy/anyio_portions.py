"""An anyio service: portions of work in task groups, some in threads.

Healthy.
Needs: anyio
Looks like: loop held
"""

import random
import time

import anyio


async def part(limiter):
    await anyio.to_thread.run_sync(time.sleep, random.uniform(0.01, 0.2), limiter=limiter)
    await anyio.sleep(random.uniform(0, 1))


async def main():
    limiter = anyio.CapacityLimiter(5)
    while True:
        async with anyio.create_task_group() as group:
            for _ in range(random.randint(1, 15)):
                group.start_soon(part, limiter)
        await anyio.sleep(0.5)


anyio.run(main)
