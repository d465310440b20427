"""Workers that sleep in an except whenever there is no job, and try again.

Healthy.
Looks like: errors swallowed
"""

import asyncio


async def work(jobs):
    while True:
        try:
            job = jobs.get_nowait()
        except asyncio.QueueEmpty:
            await asyncio.sleep(0.2)
        else:
            await asyncio.sleep(job)


async def main():
    jobs = asyncio.Queue()
    workers = [asyncio.create_task(work(jobs)) for _ in range(4)]
    while not any(each.done() for each in workers):
        jobs.put_nowait(0.05)
        await asyncio.sleep(1)


asyncio.run(main())
