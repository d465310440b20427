"""A service with a large cache that collects garbage often, each time for a few milliseconds.

Healthy.
Looks like: collector ran
"""

import asyncio
import gc

CACHE = {number: [number] for number in range(50_000)}


def refresh():
    ring = []
    ring.append(ring)
    gc.collect()


async def main():
    while True:
        refresh()
        await asyncio.sleep(0.2)


asyncio.run(main())
