"""Each item that fails is tried again for ever.

Leak: retry
Rate: 24
Shows: orphan
"""

import asyncio
import random


async def deliver():
    await asyncio.sleep(0.05)
    raise ConnectionError


async def retry(item):
    wait = 0.5
    while True:
        try:
            await deliver()
        except ConnectionError:
            wait = min(wait * 2, 8)
            await asyncio.sleep(wait * random.random())


async def accept(item):
    asyncio.create_task(retry(item))  # LEAK


async def main():
    item = 0
    while True:
        item += 1
        await asyncio.create_task(accept(item))
        await asyncio.sleep(2.5)


asyncio.run(main())
