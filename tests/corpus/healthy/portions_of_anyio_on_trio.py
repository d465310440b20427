"""anyio on trio: portions of work in task groups, some in threads that ask back, some that give up in time.

Healthy.
Needs: anyio, trio
Looks like: loop held, deadlock
"""

import random
import time

import anyio
from anyio import from_thread, to_thread


async def look_up(lock):
    async with lock:
        await anyio.sleep(0.02)


def compute(lock):
    time.sleep(random.uniform(0.01, 0.1))
    from_thread.run(look_up, lock)


async def part(limiter, lock):
    await to_thread.run_sync(compute, lock, limiter=limiter)
    with anyio.move_on_after(random.uniform(0, 1)):
        await anyio.sleep_forever()


async def main():
    limiter, lock = anyio.CapacityLimiter(5), anyio.Lock()
    while True:
        async with anyio.create_task_group() as group:
            for _ in range(random.randint(1, 15)):
                group.start_soon(part, limiter, lock)
        await anyio.sleep(0.5)


anyio.run(main, backend="trio")
