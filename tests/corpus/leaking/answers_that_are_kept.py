"""A coordinator keeps the finished task of each request, with its answer, and never drops one.

Leak: Coordinator.request
Rate: 180
Shows: ended tasks kept
"""

import asyncio
import os


class Coordinator:
    def __init__(self):
        self.tasks = []

    async def request(self):
        await asyncio.sleep(0.05)
        return os.urandom(20_000)

    async def poll(self):
        while True:
            self.tasks.append(asyncio.create_task(self.request()))  # LEAK
            await asyncio.sleep(1 / 3)


asyncio.run(Coordinator().poll())
