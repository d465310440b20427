"""A worker for each printer found waits for pages; only the worker refers to its queue until one comes.

Healthy.
Looks like: nobody feeds it
"""

import asyncio
import random
import weakref

known = weakref.WeakValueDictionary()


class Printer:
    def __init__(self, name):
        known[name] = self
        self.pages = asyncio.Queue()
        self.done = 0

    async def work(self):
        while True:
            await self.pages.get()
            await asyncio.sleep(0.2)
            self.done += 1


async def find(group):
    for number in range(25):
        group.create_task(Printer(number).work())
        await asyncio.sleep(random.uniform(2, 5))


async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(find(group))
        while True:
            await asyncio.sleep(random.uniform(0.5, 3))
            printer = known.get(random.randrange(60))
            if printer is not None:
                printer.pages.put_nowait("page")


asyncio.run(main())
