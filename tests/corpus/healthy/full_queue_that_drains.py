"""Metrics come thirty at a time into a queue of eight; its one writer takes five a second.

Healthy.
Looks like: stuck handing over
"""

import asyncio


async def emit(queue, number):
    await queue.put(number)


async def write(queue):
    while True:
        await queue.get()
        await asyncio.sleep(0.2)


async def main():
    queue = asyncio.Queue(8)
    async with asyncio.TaskGroup() as group:
        group.create_task(write(queue))
        while True:
            for number in range(30):
                group.create_task(emit(queue, number))
            await asyncio.sleep(10)


asyncio.run(main())
