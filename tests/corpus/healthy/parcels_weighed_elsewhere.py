"""Sorters hand parcels over to a scale, which marks them done later: the depot waits for that.

Healthy.
Looks like: task_done missing
"""

import asyncio


class Depot:
    def __init__(self):
        self.parcels = asyncio.Queue()
        self.sorters = [asyncio.create_task(self.sort()) for _ in range(3)]

    async def sort(self):
        while True:
            await self.parcels.get()
            asyncio.get_running_loop().call_later(50, self.weighed)

    def weighed(self):
        self.parcels.task_done()

    async def deliver(self, number):
        for parcel in range(number):
            self.parcels.put_nowait(parcel)
        await self.parcels.join()


async def main():
    depot = Depot()
    while True:
        await depot.deliver(6)


asyncio.run(main())
