"""People log in all morning and stay; each session ends two hours after its last use.

Healthy.
Looks like: timers never cancelled
"""

import asyncio
import random

sessions = {}


class Session:
    def __init__(self, name):
        self.name = name
        self.basket = bytearray(3_000)
        self.timer = asyncio.get_running_loop().call_later(7200, self.expire)

    def use(self):
        self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(7200, self.expire)

    def expire(self):
        del sessions[self.name]


async def main():
    name = 0
    while True:
        name += 1
        sessions[name] = Session(name)
        if random.random() < 0.3:
            random.choice(list(sessions.values())).use()
        await asyncio.sleep(random.expovariate(3))


asyncio.run(main())
