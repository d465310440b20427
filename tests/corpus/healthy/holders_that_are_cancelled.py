"""Each tenant's context is held open by a task that waits for ever, and is cancelled when the tenant goes.

Healthy.
Looks like: left to the collector
"""

import asyncio
import contextlib
import random


@contextlib.asynccontextmanager
async def context():
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        await asyncio.sleep(0.05)


async def hold():
    async with context():
        await asyncio.Event().wait()


async def tenant():
    holder = asyncio.create_task(hold())
    await asyncio.sleep(random.expovariate(1 / 15))
    holder.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await holder


async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(tenant())
            await asyncio.sleep(random.expovariate(1))


asyncio.run(main())
