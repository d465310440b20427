"""A burst of watchers on each deployment; none of them ends.

Leak: watch_pod
Rate: 100
Shows: held by a growing container
"""

import asyncio
import random


async def watch_pod(stream):
    async for _ in stream:
        pass


async def endless():
    while True:
        await asyncio.sleep(20)
        yield 1


async def main():
    kept = []
    while True:
        await asyncio.sleep(random.uniform(9, 15))
        kept += [asyncio.create_task(watch_pod(endless())) for _ in range(20)]  # LEAK


asyncio.run(main())
