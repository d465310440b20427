"""Renders tiles of one picture, each in a task that starts the next: pixels change that no variable shows.

Healthy.
Looks like: tasks for nothing
"""

import asyncio

SIZE = 256
PICTURE = bytearray(SIZE * SIZE)


class Renderer:
    def __init__(self):
        self.next = None

    async def tile(self):
        start = sum(PICTURE[:64]) * 64 % len(PICTURE)
        for at in range(start, start + 64):
            PICTURE[at] = (PICTURE[at] * 3 + 1) % 251
        self.next = asyncio.create_task(self.tile())


async def main():
    await Renderer().tile()
    await asyncio.Event().wait()


asyncio.run(main())
