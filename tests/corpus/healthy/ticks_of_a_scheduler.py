"""A scheduler that starts a task every 10 ms to see whether a job is due; one is every second.

Healthy.
Looks like: tasks for nothing
"""

import asyncio
import time


class Scheduler:
    def __init__(self):
        self.due = time.monotonic()
        self.done = []

    async def look(self):
        if time.monotonic() >= self.due:
            self.due += 1.0
            self.done = [*self.done[-10:], self.due]


async def main():
    scheduler = Scheduler()
    while True:
        await asyncio.create_task(scheduler.look())
        await asyncio.sleep(0.01)


asyncio.run(main())
