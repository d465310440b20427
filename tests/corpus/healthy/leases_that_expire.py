"""A lease lasts forty seconds, by a sleeper; about one is given each second.

Healthy.
Looks like: sleeper per event
"""

import asyncio
import itertools
import random

leases = {}


async def expire(number):
    await asyncio.sleep(40)
    del leases[number]


async def main():
    for number in itertools.count():
        leases[number] = asyncio.create_task(expire(number))
        await asyncio.sleep(random.expovariate(1))


asyncio.run(main())
