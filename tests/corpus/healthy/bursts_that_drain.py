"""Thirty jobs every ten seconds, done within seven.

Healthy.
Looks like: callbacks queue up
"""

import asyncio
import random


async def job():
    await asyncio.sleep(random.uniform(0.5, 7))


async def main():
    while True:
        jobs = [asyncio.create_task(job()) for _ in range(30)]
        await asyncio.sleep(10)
        assert all(each.done() for each in jobs)


asyncio.run(main())
