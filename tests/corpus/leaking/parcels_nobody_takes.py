"""A parcel that is refused is delivered again, later and later, for ever; those that arrive end.

Leak: carry
Rate: 40
Shows: retried without a limit
"""

import asyncio
import random

on_the_way = set()


async def hand_over(parcel):
    await asyncio.sleep(0.02)
    return parcel % 3 != 0


async def carry(parcel):
    pause = 0.5
    while True:
        if await hand_over(parcel):
            return
        await asyncio.sleep(pause + random.random())
        pause = min(pause * 2, 30)


async def main():
    parcel = 0
    while True:
        parcel += 1
        task = asyncio.create_task(carry(parcel))  # LEAK
        on_the_way.add(task)
        task.add_done_callback(on_the_way.discard)
        await asyncio.sleep(0.5)


asyncio.run(main())
