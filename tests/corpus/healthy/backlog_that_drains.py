"""Two thousand downloads at once, ten at a time.

Healthy.
Looks like: lock not released
"""

import asyncio


async def download(gate):
    async with gate:
        await asyncio.sleep(0.5)


async def main():
    gate = asyncio.Semaphore(10)
    await asyncio.gather(*(download(gate) for _ in range(2000)))
    await asyncio.sleep(600)


asyncio.run(main())
