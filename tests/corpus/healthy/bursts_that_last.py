"""Every forty-five seconds forty reports begin within half a minute; each is done a minute later at most.

Healthy.
Looks like: sleeper per event
"""

import asyncio
import random


async def report():
    await asyncio.sleep(random.uniform(30, 55))


async def main():
    async with asyncio.TaskGroup() as group:
        while True:
            for _ in range(40):
                group.create_task(report())
                await asyncio.sleep(random.uniform(0.2, 1.2))
            await asyncio.sleep(17)


asyncio.run(main())
