"""Players wait at the door of a match for fifty seconds; then it opens and all go in and out.

Healthy.
Looks like: nobody can set it
"""

import asyncio
import random


async def player(door):
    await door.wait()
    await asyncio.sleep(random.uniform(1, 5))


async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            door = asyncio.Event()
            for _ in range(50):
                group.create_task(player(door))
                await asyncio.sleep(random.uniform(0.5, 1.5))
            door.set()


asyncio.run(main())
