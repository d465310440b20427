"""asyncio: the consumer of a bounded queue has failed; who feeds it waits for a place.

Shows: nobody can set it, deadlock
"""

import asyncio


async def consume(rows):
    row = await rows.get()
    raise ValueError(row)


async def produce(rows):
    for number in range(10):
        await rows.put(number)  # HANG


async def main():
    rows = asyncio.Queue(2)
    await asyncio.gather(consume(rows), produce(rows), return_exceptions=True)


asyncio.run(main())
