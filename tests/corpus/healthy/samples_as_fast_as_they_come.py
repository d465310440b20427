"""A device fills its pipe as soon as a reader empties it; only the last sample counts.

Healthy.
Looks like: never drained
"""

import asyncio
import os
import subprocess


class Gauge:
    def __init__(self, end):
        self.end = end

    def read(self):
        self.last = os.read(self.end, 4096)[-2:]


async def main():
    device = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    gauge = Gauge(device.stdout.fileno())
    asyncio.get_running_loop().add_reader(gauge.end, gauge.read)
    await asyncio.Event().wait()


asyncio.run(main())
