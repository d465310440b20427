"""Ten probes every five seconds.

Healthy.
"""

import asyncio
import random


async def probe():
    await asyncio.sleep(random.uniform(0.1, 2))


async def main():
    while True:
        await asyncio.gather(*(probe() for _ in range(10)))
        await asyncio.sleep(5)


asyncio.run(main())
