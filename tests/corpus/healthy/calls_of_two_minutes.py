"""A call lasts two minutes or so and one comes each second: a hundred and twenty from the start.

Healthy.
Looks like: nobody can set it
"""

import asyncio
import itertools
import random


async def call(ended):
    await ended.wait()


async def ring(seconds):
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, ended.set)
    await call(ended)


async def main():
    async with asyncio.TaskGroup() as group:
        for number in itertools.count():
            group.create_task(ring(random.expovariate(1 / 120)))
            if number > 120:  # these were there at the start, as if it had run for hours
                await asyncio.sleep(random.expovariate(1))


asyncio.run(main())
