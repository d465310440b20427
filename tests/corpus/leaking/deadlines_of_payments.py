"""A payment has an hour; one in three is broken off, which nobody tells the task that waits for it.

Leak: Desk.await_payment
Rate: 25
Shows: held by a growing container, nobody can set it
"""

import asyncio
import random


class Desk:
    def __init__(self):
        self.pending = {}
        self.tasks = set()

    async def await_payment(self, number):
        paid = self.pending[number] = asyncio.Event()
        async with asyncio.timeout(3600):
            await paid.wait()
        del self.pending[number]

    def order(self, number):
        task = asyncio.create_task(self.await_payment(number))  # LEAK
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


async def customer(desk, number):
    desk.order(number)
    await asyncio.sleep(random.uniform(1, 10))
    if number % 3:
        desk.pending[number].set()


async def main():
    desk, number = Desk(), 0
    async with asyncio.TaskGroup() as group:
        while True:
            number += 1
            group.create_task(customer(desk, number))
            await asyncio.sleep(random.expovariate(1 / 0.8))


asyncio.run(main())
