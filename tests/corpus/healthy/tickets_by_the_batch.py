"""Callers wait for a ticket each; every forty seconds there are as many as anybody can want.

Healthy.
Looks like: nobody can set it
"""

import asyncio
import random


async def call(tickets):
    await tickets.get()
    await asyncio.sleep(random.uniform(0.1, 2))


async def main():
    tickets, begun = asyncio.Queue(), 0
    async with asyncio.TaskGroup() as group:
        while True:
            for _ in range(60):
                group.create_task(call(tickets))
                begun += 1
                await asyncio.sleep(random.uniform(0.3, 1))
            while begun:
                begun -= 1
                tickets.put_nowait("ticket")


asyncio.run(main())
