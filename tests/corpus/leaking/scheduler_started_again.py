"""Each reload of the configuration starts the scheduler once more.

Leak: Scheduler.run
Rate: 15
Shows: started twice
"""

import asyncio


class Scheduler:
    def __init__(self):
        self.jobs = 0

    def start(self):
        self.task = asyncio.create_task(self.run())  # LEAK

    async def run(self):
        while True:
            self.jobs += 1
            await asyncio.sleep(0.7)


async def main():
    scheduler = Scheduler()
    while True:
        scheduler.start()
        await asyncio.sleep(4)


asyncio.run(main())
