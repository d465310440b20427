"""A session lasts 70 s.  Its watcher, started by a handler that ends, looks every second whether it is over.

Healthy.
Looks like: orphan
"""

import asyncio
import random


class Session:
    def __init__(self):
        self.over = False
        asyncio.get_running_loop().call_later(70, self.end)

    def end(self):
        self.over = True

    async def watch(self):
        while not self.over:
            await asyncio.sleep(1)


async def handle(watchers):
    watchers.add(watcher := asyncio.create_task(Session().watch()))
    watcher.add_done_callback(watchers.discard)


async def main():
    watchers = set()
    while True:
        await asyncio.create_task(handle(watchers))
        await asyncio.sleep(random.expovariate(1.5))


asyncio.run(main())
