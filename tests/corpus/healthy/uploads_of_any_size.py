"""Uploads take from a second to several minutes; as many end as begin, once it has run for a while.

Healthy.
Looks like: held by a growing container
"""

import asyncio
import random


class Uploads:
    def __init__(self):
        self.running = {}
        self.stored = 0

    async def receive(self, number, size):
        left = size
        while left > 0:
            await asyncio.sleep(0.5)
            left -= 1
            self.stored += 1
        del self.running[number]

    async def accept(self):
        for number in range(1_000_000):
            size = random.lognormvariate(3.4, 1.1)
            self.running[number] = asyncio.create_task(self.receive(number, size))
            await asyncio.sleep(random.expovariate(1))


asyncio.run(Uploads().accept())
