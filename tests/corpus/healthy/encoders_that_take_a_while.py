"""Encoders run as processes for up to a minute each, as many as the day brings; each is waited for.

Healthy.
Looks like: children never ended
Runs: sleep
"""

import asyncio
import random


async def encode():
    encoder = await asyncio.create_subprocess_exec("sleep", str(random.uniform(5, 60)))
    await encoder.wait()


async def main():
    running = set()
    while True:
        task = asyncio.create_task(encode())
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(random.expovariate(0.4))


asyncio.run(main())
