"""Each round cancels the refresher of the round before, which takes no notice.

Leak: refresh
Rate: 20
Shows: generations overlap
"""

import asyncio
import contextlib


async def fetch():
    await asyncio.sleep(0.3)


async def refresh():
    while True:
        with contextlib.suppress(BaseException):
            await fetch()
            await asyncio.sleep(0.2)


async def main():
    task = None
    while True:
        if task is not None:
            task.cancel()
        task = asyncio.create_task(refresh())  # LEAK
        await asyncio.sleep(3)


asyncio.run(main())
