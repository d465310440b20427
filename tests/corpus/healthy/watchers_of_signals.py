"""A watcher for each part waits for a signal; the signal's handler alone holds what it waits for.

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


async def request():
    await asyncio.sleep(random.uniform(0.05, 1))


async def main():
    loop, watchers = asyncio.get_running_loop(), []
    numbers = range(signal.SIGRTMIN, signal.SIGRTMIN + 12)
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            asked = asyncio.Event()
            loop.add_signal_handler(number, asked.set)
            watchers.append(group.create_task(reload(asked)))
            await asyncio.sleep(3)
        while watchers:
            group.create_task(request())
            await asyncio.sleep(random.expovariate(5))


asyncio.run(main())
