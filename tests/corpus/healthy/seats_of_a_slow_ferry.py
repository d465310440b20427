"""Three ferries whose only seat is given back after a minute, each in another way.

Healthy.
Looks like: slots lost
"""

import asyncio

SECONDS = 50


class Seats:
    def __init__(self):
        self.free = asyncio.Semaphore(1)

    async def take(self):
        await self.free.acquire()

    def leave(self):
        self.free.release()


async def cross():
    await asyncio.sleep(SECONDS)


async def by_a_timer(seats):
    await seats.acquire()
    asyncio.get_running_loop().call_later(SECONDS, seats.release)


async def by_the_end_of_a_task(seats):
    await seats.acquire()
    asyncio.create_task(cross()).add_done_callback(lambda _: seats.release())
    await asyncio.sleep(0)


async def by_hand(seats):
    await seats.take()
    await cross()
    seats.leave()


async def traveller(way, seats):
    while True:
        await way(seats)


async def main():
    ferries = (
        (by_a_timer, asyncio.Semaphore(1)),
        (by_the_end_of_a_task, asyncio.Semaphore(1)),
        (by_hand, Seats()),
    )
    async with asyncio.TaskGroup() as group:
        for way, seats in ferries:
            for _ in range(3):
                group.create_task(traveller(way, seats))


asyncio.run(main())
