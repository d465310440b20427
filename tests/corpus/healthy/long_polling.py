"""A hundred clients that each wait up to 20 s for news.

Healthy.
"""

import asyncio
import contextlib
import random


async def poll(news):
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), random.uniform(5, 20))
        await asyncio.sleep(0.1)


async def main():
    news = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(poll(news))


asyncio.run(main())
