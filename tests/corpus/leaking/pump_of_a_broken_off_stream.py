"""A pump feeds each download through a queue; the reader breaks off after three parts.

Leak: pump
Rate: 75
Shows: stuck handing over
"""

import asyncio

streams = []


async def pump(queue):
    for number in range(1000):
        await queue.put(number)


async def download():
    queue = asyncio.Queue(2)
    streams.append(queue)
    asyncio.create_task(pump(queue))  # LEAK
    for _ in range(3):
        await queue.get()


async def main():
    while True:
        await asyncio.create_task(download())
        await asyncio.sleep(0.8)


asyncio.run(main())
