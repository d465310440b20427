"""Two hundred retries a second, each due within half a minute, with its own payload.

Healthy.
Looks like: timers never cancelled
"""

import asyncio
import random


class Retry:
    def __init__(self):
        self.body = bytearray(2_000)

    def again(self):
        self.body = None


async def main():
    loop = asyncio.get_running_loop()
    while True:
        for _ in range(20):
            loop.call_later(random.choice((5, 10, 30)), Retry().again)
        await asyncio.sleep(0.1)


asyncio.run(main())
