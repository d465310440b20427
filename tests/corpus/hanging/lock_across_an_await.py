"""A threading.Lock is held across an await; another coroutine of the loop wants it and stops the loop.

Shows: deadlock
"""

import asyncio
import threading

lock = threading.Lock()


async def save():
    with lock:  # HANG
        await asyncio.sleep(0.5)


async def load():
    await asyncio.sleep(0.1)
    with lock:  # HANG
        pass


async def main():
    await asyncio.gather(save(), load())


asyncio.run(main())
