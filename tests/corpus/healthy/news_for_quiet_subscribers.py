"""Readers of a newsletter come over a minute and a half and stay; there is news every ten seconds or so.

Healthy.
"""

import asyncio
import random


class Subscriber:
    def __init__(self):
        self.inbox = asyncio.Queue()
        self.task = asyncio.create_task(self.read())

    async def read(self):
        while await self.inbox.get():
            await asyncio.sleep(0.01)


async def arrive(subscribers):
    for _ in range(75):
        subscribers.append(Subscriber())
        await asyncio.sleep(random.uniform(0.5, 2))


async def main():
    subscribers = []
    arrivals = asyncio.create_task(arrive(subscribers))
    while True:
        await asyncio.sleep(random.uniform(5, 15))
        for subscriber in subscribers:
            subscriber.inbox.put_nowait("news")
        assert not arrivals.done() or not arrivals.exception()


asyncio.run(main())
