"""Messages of a feed that come ever faster for ten minutes, each handled by a task, and stored by another.

Healthy.
Looks like: births climb
"""

import asyncio


async def store(message):
    await asyncio.sleep(0.002)


async def handle(message):
    await asyncio.create_task(store(message))


async def main():
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        rate = 5 + min(600.0, loop.time() - begun) / 4
        asyncio.create_task(handle("news"))
        await asyncio.sleep(1 / rate)


asyncio.run(main())
