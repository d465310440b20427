"""Eighty devices report for the first time within two minutes; each has a poller from then on.

Healthy.
Looks like: held by a growing container, limited rounds
"""

import asyncio
import random


class Registry:
    def __init__(self):
        self.pollers = {}

    def report(self, device):
        if device not in self.pollers:
            self.pollers[device] = asyncio.create_task(self.poll(device))

    async def poll(self, device):
        while True:
            await asyncio.sleep(random.uniform(1, 3))
            print(device)


async def main():
    registry, number = Registry(), 0
    while True:
        number = min(80, number + 1)
        registry.report(number)
        await asyncio.sleep(1.5)


asyncio.run(main())
