"""asyncio.Semaphore: a folder keeps its place while it waits for its folders, which need one too.

Shows: deadlock
"""

import asyncio


async def scan(places, depth):
    async with places:  # HANG
        await asyncio.sleep(0.05)
        if depth:
            await asyncio.gather(*(scan(places, depth - 1) for _ in range(3)))  # HANG


async def main():
    await scan(asyncio.Semaphore(4), 5)


asyncio.run(main())
