"""An API client that takes each error off its counter after five minutes.

Leak: Breaker.forget
Rate: 300
Shows: sleeper per event
"""

import asyncio
import random


class Breaker:
    def __init__(self):
        self.errors = 0

    def record(self):
        self.errors += 1
        asyncio.create_task(self.forget())  # LEAK

    async def forget(self):
        await asyncio.sleep(300)
        self.errors -= 1


async def main():
    breaker = Breaker()
    while True:
        await asyncio.sleep(random.expovariate(5))
        breaker.record()


asyncio.run(main())
