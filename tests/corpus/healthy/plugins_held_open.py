"""Plugins are loaded one after another in the first half minute; each waits until the service ends.

Healthy.
"""

import asyncio
import random


async def plugin(name):
    print(name)
    await asyncio.get_running_loop().create_future()


async def tick():
    await asyncio.sleep(random.uniform(0.1, 0.5))


async def main():
    plugins = []
    for name in ("metrics", "traces", "logs", "alarms", "audit", "search"):
        plugins.append(asyncio.create_task(plugin(name)))
        await asyncio.sleep(6)
    while plugins:
        await asyncio.gather(*(tick() for _ in range(10)))


asyncio.run(main())
