"""Eight workers on a redis list, two listeners on channels, and pages that subscribe for some seconds.

Healthy.
Needs: redis
Runs: redis-server
"""

import asyncio
import contextlib
import random

from tests.corpus.servers import redis_client


async def work(client):
    while True:
        job = await client.blpop("jobs", timeout=2)
        if job is not None:
            await asyncio.sleep(random.uniform(0.01, 0.5))


async def listen(client, channel):
    async with client.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        async for _ in pubsub.listen():
            pass


async def page(client):
    listener = asyncio.create_task(listen(client, "news"))
    await asyncio.sleep(random.expovariate(1 / 6))
    listener.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listener


async def main():
    async with redis_client() as client, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work(client))
        for channel in ("orders", "alarms"):
            group.create_task(listen(client, channel))
        while True:
            await client.rpush("jobs", b"job")
            group.create_task(page(client))
            await asyncio.sleep(random.expovariate(3))


asyncio.run(main())
