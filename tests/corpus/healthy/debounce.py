"""Each key press starts a wait of a second and takes back the one before.

Healthy.
Looks like: generations overlap
"""

import asyncio
import random

waits = {}


async def save(key):
    await asyncio.sleep(1)
    del waits[key]


async def main():
    while True:
        key = random.randrange(30)
        if key in waits:
            waits.pop(key).cancel()
        waits[key] = asyncio.create_task(save(key))
        await asyncio.sleep(0.05)


asyncio.run(main())
