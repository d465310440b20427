"""Finished renderings stay in a cache that holds 60 MB: it fills for two minutes, then the oldest give way.

Healthy.
Looks like: ended tasks kept, growth without tasks
"""

import asyncio
import collections
import random

MOST = 60_000_000


class Cache:
    def __init__(self):
        self.tasks = collections.OrderedDict()
        self.bytes = 0

    async def render(self, name):
        await asyncio.sleep(random.uniform(0.01, 0.2))
        picture = random.randbytes(random.randrange(20_000, 180_000))
        self.bytes += len(picture)
        while self.bytes > MOST:
            _, oldest = self.tasks.popitem(last=False)
            self.bytes -= len(oldest.result())
        return picture

    async def get(self, name):
        if name not in self.tasks:
            self.tasks[name] = asyncio.create_task(self.render(name))
        self.tasks.move_to_end(name)
        return await asyncio.shield(self.tasks[name])


async def visit(cache):
    await cache.get(int(random.expovariate(1 / 3000)))


async def main():
    cache, visits = Cache(), set()
    while True:
        visits.add(one := asyncio.create_task(visit(cache)))
        one.add_done_callback(visits.discard)
        await asyncio.sleep(random.expovariate(6))


asyncio.run(main())
