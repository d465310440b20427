"""The tasks of a round, forty seconds or so, are kept in a list to be gathered at its end.

Healthy.
Looks like: fire and forget, ended tasks kept
"""

import asyncio
import random


async def measure():
    await asyncio.sleep(random.uniform(0.1, 3))
    return bytes(10_000)


async def main():
    while True:
        tasks = []
        for _ in range(random.randint(150, 250)):
            tasks.append(asyncio.create_task(measure()))
            await asyncio.sleep(0.2)
        print(sum(len(each) for each in await asyncio.gather(*tasks)))


asyncio.run(main())
