"""An entry expires after 15 s, by a sleeper: ten a second, 150 in all.

Healthy.
Looks like: sleeper per event
"""

import asyncio
import itertools

cache = {}


async def expire(key):
    await asyncio.sleep(15)
    del cache[key]


async def main():
    for key in itertools.count():
        cache[key] = asyncio.create_task(expire(key))
        await asyncio.sleep(0.1)


asyncio.run(main())
