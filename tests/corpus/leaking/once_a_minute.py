"""Once a minute a report is started that waits for an approval which nobody gives.

Leak: report
Rate: 1
Shows: nobody can set it
"""

import asyncio
import random

reports = {}


async def request():
    await asyncio.sleep(random.expovariate(20))


async def report(approved):
    await approved.wait()


async def hourly():
    number = 0
    while True:
        number += 1
        reports[number] = asyncio.create_task(report(asyncio.Event()))  # LEAK
        await asyncio.sleep(60)


async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(hourly())
        while True:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(30))


asyncio.run(main())
