"""A ferry lets one in at a time by ``async with``, for a minute; its bar counts its guests by hand.

Healthy.
Looks like: slots lost
"""

import asyncio


async def cross(ferry):
    while True:
        async with ferry:
            await asyncio.sleep(50)


async def drink(bar):
    while True:
        await bar.acquire()
        await asyncio.sleep(0.05)
        bar.release()


async def main():
    ferry, bar = asyncio.Semaphore(1), asyncio.Semaphore(2)
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(cross(ferry))
            group.create_task(drink(bar))


asyncio.run(main())
