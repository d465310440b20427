"""Each search asks six archives and waits for all; an archive answers after 20 to 55 s.

Healthy.
Looks like: await cycle
"""

import asyncio
import random


class Archive:
    async def ask(self):
        answer = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(random.uniform(20, 55), answer.set_result, 1)
        return await answer


async def search(archives):
    return sum(await asyncio.gather(*(archive.ask() for archive in archives)))


async def main():
    archives = [Archive() for _ in range(6)]
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(search(archives))
            await asyncio.sleep(random.expovariate(0.5))


asyncio.run(main())
