"""One holder of the lock hangs; everybody after it waits.

Leak: update
Rate: 60
Shows: lock not released
"""

import asyncio


async def update(lock, number):
    async with lock:
        if number == 5:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0.01)


async def main():
    lock, kept, number = asyncio.Lock(), [], 0
    while True:
        number += 1
        kept.append(asyncio.create_task(update(lock, number)))  # LEAK
        await asyncio.sleep(1)


asyncio.run(main())
