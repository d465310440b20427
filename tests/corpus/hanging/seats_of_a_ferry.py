"""A ferry has three seats; a passenger who is refused leaves without giving his back.

Shows: slots lost
"""

import asyncio


class Ferry:
    def __init__(self):
        self.seats = asyncio.Semaphore(3)

    async def cross(self, number):
        await self.seats.acquire()  # HANG
        await asyncio.sleep(0.01)
        if number % 3 == 0:
            raise ValueError("no ticket")
        self.seats.release()


async def traveller(ferry, number):
    while True:
        try:
            await ferry.cross(number)
        except ValueError:
            await asyncio.sleep(0.02)


async def clock():
    while True:
        await asyncio.sleep(0.2)


async def main():
    ferry = Ferry()
    async with asyncio.TaskGroup() as group:
        group.create_task(clock())
        for number in range(9):
            group.create_task(traveller(ferry, number))


asyncio.run(main())
