"""Under uvloop: a watchdog of ten minutes for each job, not cancelled when the job is done.

Leak: watchdog
Rate: 180
Needs: uvloop
Shows: sleeper per event
"""

import asyncio

import uvloop


async def watchdog(seconds):
    await asyncio.sleep(seconds)


async def job():
    asyncio.create_task(watchdog(600))  # LEAK
    await asyncio.sleep(0.1)


async def main():
    while True:
        await asyncio.create_task(job())
        await asyncio.sleep(0.23)


uvloop.run(main())
