"""A payment has eighty seconds; half are made in the first forty, the others run out of time.

Healthy.
Looks like: held by a growing container
"""

import asyncio
import contextlib
import random


class Desk:
    def __init__(self):
        self.pending = {}

    async def await_payment(self, number):
        paid = self.pending[number] = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(80):
                await paid.wait()
        del self.pending[number]


async def customer(desk, number):
    await asyncio.sleep(random.uniform(5, 40))
    if number % 2:
        desk.pending[number].set()


async def main():
    desk, number = Desk(), 0
    async with asyncio.TaskGroup() as group:
        while True:
            number += 1
            group.create_task(desk.await_payment(number))
            group.create_task(customer(desk, number))
            await asyncio.sleep(random.expovariate(1 / 1.5))


asyncio.run(main())
