"""Forty callers gather over half a minute, then all go at once.

Healthy.
"""

import asyncio


async def caller(batch):
    await batch


async def main():
    while True:
        batch = asyncio.get_running_loop().create_future()
        callers = []
        for _ in range(40):
            callers.append(asyncio.create_task(caller(batch)))
            await asyncio.sleep(0.75)
        batch.set_result(None)
        await asyncio.gather(*callers)


asyncio.run(main())
