"""A store opens its twenty-two shards one after another at start; each has a sweeper that nobody keeps.

Healthy.
Looks like: orphan, fire and forget
"""

import asyncio
import random


async def sweep():
    while True:
        await asyncio.sleep(random.uniform(5, 10))


async def open_shard():
    await asyncio.sleep(random.uniform(0.1, 0.5))
    asyncio.create_task(sweep())


async def request():
    await asyncio.sleep(random.uniform(0.05, 1))


async def serve():
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(5))


async def main():
    server = asyncio.create_task(serve())
    for _ in range(22):
        await asyncio.create_task(open_shard())
        await asyncio.sleep(1.2)
    await server


asyncio.run(main())
