"""Requests with timeouts, shields and gathers; some time out.

Healthy.
"""

import asyncio
import contextlib
import random


async def backend():
    await asyncio.sleep(random.expovariate(4))


async def request():
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await asyncio.gather(backend(), asyncio.shield(backend()))


async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(20))


asyncio.run(main())
