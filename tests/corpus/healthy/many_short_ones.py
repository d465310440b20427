"""A hundred notices a second, fired and forgotten, soon done.

Healthy.
Looks like: fire and forget
"""

import asyncio
import random


async def notice():
    await asyncio.sleep(random.uniform(0, 0.3))


async def main():
    while True:
        asyncio.create_task(notice())
        await asyncio.sleep(0.01)


asyncio.run(main())
