"""Four regions come up a quarter of a minute apart; each has a watcher until the service ends.

Healthy.
"""

import asyncio
import random


class Region:
    def __init__(self, name):
        self.name = name
        self.alarm = asyncio.Event()

    async def watch(self):
        await self.alarm.wait()
        raise RuntimeError(f"{self.name} is lost")


async def request():
    await asyncio.sleep(random.uniform(0.05, 0.4))


async def main():
    async with asyncio.TaskGroup() as group:
        regions = [Region(name) for name in ("north", "east", "south", "west")]
        for region in regions:
            group.create_task(region.watch())
            for _ in range(60):
                group.create_task(request())
                await asyncio.sleep(0.25)
        while regions:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(5))


asyncio.run(main())
