"""Metrics are put into a bounded queue; its writer died of an error at start.

Leak: Metrics.emit
Rate: 90
Shows: stuck handing over
"""

import asyncio


class Metrics:
    def __init__(self):
        self.queue = asyncio.Queue(maxsize=10)
        self.writer = asyncio.create_task(self.write())

    async def write(self):
        raise OSError("no such host")

    async def emit(self, number):
        await self.queue.put(number)


async def main():
    metrics, number = Metrics(), 0
    kept = []
    while True:
        number += 1
        kept.append(asyncio.create_task(metrics.emit(number)))  # LEAK
        await asyncio.sleep(60 / 90)


asyncio.run(main())
