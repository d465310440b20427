"""Four thousand timers at a time, each due within twenty seconds: a deadline per request.

Healthy.
Looks like: timers never cancelled
"""

import asyncio
import random


class Request:
    def __init__(self, loop):
        self.body = bytes(500)
        self.timer = loop.call_later(random.uniform(5, 20), self.expire)

    def expire(self):
        self.body = b""


async def main():
    loop = asyncio.get_running_loop()
    while True:
        request = Request(loop)
        if random.random() < 0.2:
            request.timer.cancel()
        await asyncio.sleep(random.expovariate(300))


asyncio.run(main())
