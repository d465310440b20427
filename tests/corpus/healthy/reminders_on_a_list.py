"""Reminders are kept in a list on purpose; every half minute those that are done are taken out.

Healthy.
Looks like: sleeper per event, ended tasks kept
"""

import asyncio
import random


async def remind(whom, said):
    await asyncio.sleep(random.uniform(60, 90))
    said[whom] = said.get(whom, 0) + 1


async def main():
    loop, reminders, said = asyncio.get_running_loop(), [], {}
    swept = loop.time()
    while True:
        reminders.append(asyncio.create_task(remind(random.randrange(40), said)))
        await asyncio.sleep(random.expovariate(2))
        if loop.time() - swept > 30:
            swept = loop.time()
            reminders[:] = [each for each in reminders if not each.done()]


asyncio.run(main())
