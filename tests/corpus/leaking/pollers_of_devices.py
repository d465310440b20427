"""A poller for each device that reports; devices that leave are never taken off.

Leak: Registry.poll
Rate: 45
Shows: held by a growing container
"""

import asyncio
import random


class Registry:
    def __init__(self):
        self.pollers = {}

    def report(self, device):
        if device not in self.pollers:
            self.pollers[device] = asyncio.create_task(self.poll(device))  # LEAK

    async def poll(self, device):
        while True:
            await asyncio.sleep(random.uniform(1, 3))


async def main():
    registry, number = Registry(), 0
    while True:
        number += 1
        for device in range(max(0, number - 20), number):
            registry.report(device)
        await asyncio.sleep(60 / 45)


asyncio.run(main())
