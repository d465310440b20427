"""Conversions run as processes, four at a time; their output is read to its end.

Healthy.
"""

import asyncio
import random


async def convert(gate):
    async with gate:
        seconds = f"{random.uniform(0.2, 6):.1f}"
        process = await asyncio.create_subprocess_exec("sleep", seconds, stdout=asyncio.subprocess.PIPE)
        await process.communicate()


async def main():
    gate = asyncio.Semaphore(4)
    async with asyncio.TaskGroup() as group:
        while True:
            for _ in range(random.randint(1, 9)):
                group.create_task(convert(gate))
            await asyncio.sleep(random.uniform(10, 20))


asyncio.run(main())
