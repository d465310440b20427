"""Webhooks go through aiojobs without a limit; a third of the receivers never acknowledges.

Leak: Webhooks.post
Rate: 50
Needs: aiojobs
Shows: held by a growing container
"""

import asyncio
import itertools
import random

import aiojobs


class Webhooks:
    def __init__(self):
        self.open = {}
        self.numbers = itertools.count()

    async def post(self, event):
        number = next(self.numbers)
        acknowledged = self.open[number] = asyncio.get_running_loop().create_future()
        if number % 3:
            asyncio.get_running_loop().call_later(random.uniform(0.05, 2), self.acknowledge, number)
        await acknowledged

    def acknowledge(self, number):
        self.open.pop(number).set_result(None)


async def main():
    webhooks = Webhooks()
    async with aiojobs.Scheduler(limit=None) as scheduler:
        while True:
            await scheduler.spawn(webhooks.post("order.created"))  # LEAK
            await asyncio.sleep(random.expovariate(2.5))


asyncio.run(main())
