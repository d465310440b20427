"""A room lives as long as somebody is in it: it is found by name, weakly, and only its members hold it.

Healthy.
Looks like: nobody feeds it, left to the collector
"""

import asyncio
import random
import weakref

rooms = weakref.WeakValueDictionary()


class Room:
    def __init__(self):
        self.inbox = asyncio.Queue()


async def member(room):
    while (await room.inbox.get()) != "closed":
        pass


async def main():
    loop_of_members = set()
    while True:
        for number in range(25):
            room = rooms[number] = Room()
            loop_of_members.add(asyncio.create_task(member(room)))
            del room
            await asyncio.sleep(random.uniform(1, 2))
        for number in range(25):
            rooms[number].inbox.put_nowait("closed")
        await asyncio.gather(*loop_of_members)
        loop_of_members.clear()


asyncio.run(main())
