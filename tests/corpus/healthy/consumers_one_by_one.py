"""Thirty-five consumers of one service, started a second apart so that they do not all begin at once.

Healthy.
"""

import asyncio
import random


class Service:
    def __init__(self):
        self.tasks = []
        self.done = 0

    async def consume(self):
        while True:
            await asyncio.sleep(random.uniform(0.2, 1))
            self.done += 1

    async def start(self):
        for _ in range(35):
            self.tasks.append(asyncio.create_task(self.consume()))
            await asyncio.sleep(1)


async def main():
    service = Service()
    await asyncio.create_task(service.start())
    await asyncio.gather(*service.tasks)


asyncio.run(main())
