"""Forty workers, one a second.

Healthy.
Looks like: started twice
"""

import asyncio


async def worker(queue):
    while True:
        await asyncio.sleep(await queue.get())


async def feed(queue):
    while True:
        queue.put_nowait(0.2)
        await asyncio.sleep(0.05)


async def main():
    queue = asyncio.Queue()
    kept = [asyncio.create_task(feed(queue))]
    for _ in range(40):
        kept.append(asyncio.create_task(worker(queue)))
        await asyncio.sleep(1)
    await asyncio.gather(*kept)


asyncio.run(main())
