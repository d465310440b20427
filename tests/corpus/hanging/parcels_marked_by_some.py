"""Sorters take parcels from a queue; one that is damaged is put aside, and never counted as done.

Shows: task_done missing
"""

import asyncio


class Depot:
    def __init__(self):
        self.parcels = asyncio.Queue()
        self.sorters = [asyncio.create_task(self.sort()) for _ in range(3)]

    async def sort(self):
        while True:
            parcel = await self.parcels.get()  # HANG
            if parcel % 7 == 6:
                continue
            await asyncio.sleep(0.01)
            self.parcels.task_done()

    async def deliver(self, number):
        for parcel in range(number):
            self.parcels.put_nowait(parcel)
        await self.parcels.join()  # HANG


async def clock():
    while True:
        await asyncio.sleep(0.2)


async def main():
    depot = Depot()
    ticking = asyncio.create_task(clock())
    for number in (3, 5, 8):
        await depot.deliver(number)
    ticking.cancel()


asyncio.run(main())
