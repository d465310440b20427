"""Jobs through aiojobs, ten at once and the others in line; a scheduler of apscheduler starts them.

Healthy.
Needs: aiojobs, apscheduler
"""

import asyncio
import random

import aiojobs
from apscheduler.schedulers.asyncio import AsyncIOScheduler


async def job():
    await asyncio.sleep(random.expovariate(1 / 2))


async def main():
    async with aiojobs.Scheduler(limit=10, pending_limit=100) as jobs:

        async def batch():
            for _ in range(random.randint(10, 30)):
                await jobs.spawn(job())

        clock = AsyncIOScheduler()
        clock.add_job(batch, "interval", seconds=8)
        clock.start()
        await asyncio.Event().wait()


asyncio.run(main())
