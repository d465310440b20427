"""The context of the service has a cache of up to a hundred pages, which fills in its first minute.

Healthy.
Looks like: contexts that grow
"""

import asyncio
import contextvars
import random
from collections import OrderedDict

cache = contextvars.ContextVar("cache")


async def page(number):
    pages = cache.get()
    if number not in pages:
        await asyncio.sleep(0.02)
        pages[number] = bytearray(200_000)
    pages.move_to_end(number)
    if len(pages) > 100:
        pages.popitem(last=False)


async def main():
    cache.set(OrderedDict())
    while True:
        await page(random.randrange(1_000))
        await asyncio.sleep(random.expovariate(2))


asyncio.run(main())
