"""Tasks that wait for a future that only they know; the collector takes them.

Healthy.
Shows: left to the collector
"""

import asyncio
import gc
import sys

sys.unraisablehook = lambda _: None


async def wait_for_reply():
    await asyncio.get_running_loop().create_future()


async def main():
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    number = 0
    while True:
        number += 1
        asyncio.create_task(wait_for_reply())
        if number % 40 == 0:
            gc.collect()
        await asyncio.sleep(0.25)


asyncio.run(main())
