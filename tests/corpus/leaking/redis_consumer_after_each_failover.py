"""A worker subscribes again on each failover and forgets the consumer that it already has.

Leak: Worker.consume
Rate: 12
Needs: redis
Runs: redis-server
Shows: started twice
"""

import asyncio
import random

from tests.corpus.servers import redis_client


class Worker:
    def __init__(self, client):
        self.client = client
        self.done = 0

    def on_failover(self):
        self.consumer = asyncio.create_task(self.consume())  # LEAK

    async def consume(self):
        while True:
            job = await self.client.blpop("jobs", timeout=3)
            if job is not None:
                await asyncio.sleep(0.05)
                self.done += 1


async def submit(client):
    while True:
        await client.rpush("jobs", b"job")
        await asyncio.sleep(random.expovariate(2))


async def main():
    async with redis_client() as client:
        submitter = asyncio.create_task(submit(client))
        worker = Worker(client)
        while not submitter.done():
            worker.on_failover()
            await asyncio.sleep(random.uniform(3, 7))


asyncio.run(main())
