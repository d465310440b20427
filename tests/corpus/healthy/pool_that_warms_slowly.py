"""A pool opens a connection every four seconds until it has thirty; each is used from then on.

Healthy.
Looks like: orphan
"""

import asyncio
import random


class Connection:
    def __init__(self):
        self.requests = asyncio.Queue()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        while True:
            answer = await self.requests.get()
            await asyncio.sleep(random.uniform(0.01, 0.1))
            answer.set_result(None)


async def warm(pool):
    while len(pool) < 30:
        pool.append(Connection())
        await asyncio.sleep(4)


async def main():
    pool = [Connection()]
    warming = asyncio.create_task(warm(pool))
    while not warming.done() or pool:
        answer = asyncio.get_running_loop().create_future()
        random.choice(pool).requests.put_nowait(answer)
        await answer
        await asyncio.sleep(random.expovariate(5))


asyncio.run(main())
