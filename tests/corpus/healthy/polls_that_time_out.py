"""Browsers poll for news that seldom comes; each poll gives up after fifty seconds and is asked again.

Healthy.
Looks like: nobody can set it, fire and forget, held by a growing container
"""

import asyncio
import contextlib
import random


async def poll():
    news = asyncio.Event()  # nobody else has it: time alone ends this wait
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(50):
            await news.wait()


async def main():
    kept = set()
    while True:
        task = asyncio.create_task(poll())
        kept.add(task)
        task.add_done_callback(kept.discard)
        await asyncio.sleep(random.expovariate(1.5))


asyncio.run(main())
