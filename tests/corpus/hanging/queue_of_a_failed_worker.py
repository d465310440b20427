"""asyncio: all jobs are waited for with queue.join; the worker failed on the first.

Shows: nobody can set it, deadlock
"""

import asyncio


async def work(jobs):
    while True:
        number = await jobs.get()
        10 / number
        jobs.task_done()


async def main():
    jobs = asyncio.Queue()
    for number in range(5):
        jobs.put_nowait(number)
    worker = asyncio.create_task(work(jobs))
    await jobs.join()  # HANG
    worker.cancel()


asyncio.run(main())
