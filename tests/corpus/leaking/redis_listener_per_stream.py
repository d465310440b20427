"""Each event stream listens on its own redis channel; the page goes, the listener stays.

Leak: Stream.listen
Rate: 24
Needs: redis
Runs: redis-server
Shows: orphan, waits for a peer
"""

import asyncio

from tests.corpus.servers import redis_client


class Stream:
    def __init__(self, pubsub):
        self.pubsub = pubsub
        self.news = []
        self.listener = asyncio.create_task(self.listen())  # LEAK

    async def listen(self):
        async for message in self.pubsub.listen():
            self.news.append(message)


streams = {}


async def page(client, number):
    pubsub = client.pubsub()
    await pubsub.subscribe(f"orders.{number}")
    streams[number] = Stream(pubsub)
    for _ in range(3):
        await client.publish(f"orders.{number}", "shipped")
        await asyncio.sleep(0.4)


async def main():
    async with redis_client() as client:
        number = 0
        while True:
            number += 1
            await asyncio.create_task(page(client, number))
            await asyncio.sleep(1.3)


asyncio.run(main())
