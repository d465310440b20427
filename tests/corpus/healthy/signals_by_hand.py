"""Parts wait for a signal whose handler, kept by the interpreter alone, wakes them from its closure.

Healthy.
Looks like: nobody can set it
"""

import asyncio
import random
import signal


async def reload(asked):
    while True:
        await asked.wait()
        asked.clear()


def on_signal(number, asked):
    loop = asyncio.get_running_loop()
    signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked.set))


async def request():
    await asyncio.sleep(random.uniform(0.05, 1))


async def main():
    async with asyncio.TaskGroup() as group:
        for number in range(signal.SIGRTMIN, signal.SIGRTMIN + 12):
            asked = asyncio.Event()
            on_signal(number, asked)
            group.create_task(reload(asked))
            del asked
            await asyncio.sleep(3)
        while True:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(5))


asyncio.run(main())
