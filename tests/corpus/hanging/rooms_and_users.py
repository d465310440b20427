"""asyncio.Lock: joining takes the room and then the user, logging out the user and then the room.

Shows: deadlock
"""

import asyncio


async def join(room, user):
    async with room:  # HANG
        await asyncio.sleep(0.1)
        async with user:  # HANG
            pass


async def log_out(room, user):
    async with user:  # HANG
        await asyncio.sleep(0.1)
        async with room:  # HANG
            pass


async def main():
    room, user = asyncio.Lock(), asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        group.create_task(join(room, user))
        group.create_task(log_out(room, user))


asyncio.run(main())
