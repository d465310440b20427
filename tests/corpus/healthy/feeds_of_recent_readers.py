"""The feeds of the last sixty readers stay open, so that one who returns reads on where he was.

Healthy.
Looks like: async generators left open
"""

import asyncio
import random
from collections import OrderedDict

feeds = OrderedDict()


async def lines(reader):
    number = 0
    while True:
        number += 1
        yield f"{reader}: {number}"


async def read(reader):
    if reader not in feeds:
        feeds[reader] = lines(reader)
    feeds.move_to_end(reader)
    await anext(feeds[reader])
    if len(feeds) > 60:
        _, oldest = feeds.popitem(last=False)
        await oldest.aclose()


async def main():
    while True:
        await read(random.randrange(5_000))
        await asyncio.sleep(random.expovariate(3))


asyncio.run(main())
