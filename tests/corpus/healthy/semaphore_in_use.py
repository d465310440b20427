"""A service that lets two requests run at a time: the others wait for a slot, and all get one.

Healthy.
Looks like: slots taken
"""

import asyncio


async def answer(slots):
    async with slots:
        await asyncio.sleep(0.1)


async def main():
    slots = asyncio.Semaphore(2)
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(answer(slots))
            await asyncio.sleep(0.052)


asyncio.run(main())
