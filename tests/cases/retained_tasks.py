"""A coordinator keeps the task of every request that has finished, with its answer of 100 kB.

``--fixed``: a task leaves the list when it is done.

Shows: ended tasks kept
Level: info
"""

import asyncio
import sys


class Coordinator:
    def __init__(self):
        self.tasks = []

    async def request(self, number):
        await asyncio.sleep(0.05)
        return bytearray(number.to_bytes(8) * 12_500)

    async def poll(self):
        number = 0
        while True:
            number += 1
            task = asyncio.create_task(self.request(number))  # HANG
            self.tasks.append(task)
            if "--fixed" in sys.argv:
                task.add_done_callback(self.tasks.remove)
            await asyncio.sleep(0.2)


print("standing", flush=True)
asyncio.run(Coordinator().poll())
