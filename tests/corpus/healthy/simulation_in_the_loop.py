"""A simulation that computes in the loop in small steps: a core is busy, and does something.

Healthy.
Looks like: loop spins, blocking call, callbacks queue up
"""

import asyncio
import random


async def simulate(state):
    while True:
        for _ in range(300):
            index = random.randrange(len(state))
            state[index] = (state[index] * 31 + 7) % 1009
        await asyncio.sleep(0)


async def main():
    await asyncio.gather(*(simulate(list(range(500))) for _ in range(3)))


asyncio.run(main())
