"""Every minute a planner arms 2,000 timers at once, due over the next fifty seconds.

Healthy.
Looks like: timers never cancelled
"""

import asyncio
import random


class Probe:
    def __init__(self, host):
        self.host = host
        self.sent = bytearray(1_500)

    def send(self):
        self.sent = None


async def main():
    loop = asyncio.get_running_loop()
    while True:
        for host in range(2_000):
            loop.call_later(random.uniform(0, 50), Probe(host).send)
        await asyncio.sleep(60)


asyncio.run(main())
