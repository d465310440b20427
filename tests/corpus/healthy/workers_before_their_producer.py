"""Workers come first, one after another, on a queue that they alone hold; who has work asks a worker for it.

Healthy.
Looks like: nobody feeds it
"""

import asyncio
import random


class Worker:
    def __init__(self, queue):
        self.queue = queue
        self.task = asyncio.create_task(self.work())

    async def work(self):
        while True:
            await asyncio.sleep(await self.queue.get())


workers = []


def hire():
    queue = workers[0].queue if workers else asyncio.Queue()
    workers.append(Worker(queue))


async def main():
    for _ in range(25):
        hire()
        await asyncio.sleep(random.uniform(1, 2))
    while True:
        await asyncio.sleep(random.uniform(30, 60))
        for _ in range(50):
            random.choice(workers).queue.put_nowait(random.uniform(0.1, 1))


asyncio.run(main())
