"""A watcher for each of the hundred pages used last; it waits for the page to change, which is rare.

Healthy.
Looks like: nobody can set it
"""

import asyncio
import random
from collections import OrderedDict

pages = OrderedDict()


class Page:
    def __init__(self):
        self.changed = asyncio.Event()
        self.watcher = asyncio.create_task(self.watch())

    async def watch(self):
        while True:
            await self.changed.wait()
            self.changed.clear()


async def main():
    while True:
        name = random.randrange(5_000)
        pages[name] = pages.get(name) or Page()
        pages.move_to_end(name)
        if len(pages) > 100:
            pages.popitem(last=False)[1].watcher.cancel()
        if random.random() < 0.05:
            random.choice(list(pages.values())).changed.set()
        await asyncio.sleep(random.expovariate(4))


asyncio.run(main())
