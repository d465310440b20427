"""Two a minute at a line of their own, among a thousand short tasks a second.

Leak: watch_order
Rate: 2
Shows: nobody can set it
"""

import asyncio

orders = set()


async def tick():
    await asyncio.sleep(0.01)


async def watch_order(filled):
    await filled.wait()


async def main():
    number = 0
    while True:
        number += 1
        await asyncio.gather(*(tick() for _ in range(50)))
        if number % 600 == 1:
            orders.add(asyncio.create_task(watch_order(asyncio.Event())))  # LEAK
        await asyncio.sleep(0.038)


asyncio.run(main())
