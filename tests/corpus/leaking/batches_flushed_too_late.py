"""Each event arms a flush of its batch in an hour; full batches are flushed at once, and their timers stay.

Leak: Batcher.add.<lambda>
Rate: 120
Shows: timers never cancelled
"""

import asyncio


class Batch:
    def __init__(self):
        self.events = []

    def flush(self):
        self.events = None


class Batcher:
    def __init__(self, loop):
        self.loop = loop
        self.batch = None

    def add(self, event):
        if self.batch is None:
            batch = self.batch = Batch()
            self.loop.call_at(self.loop.time() + 3600, lambda: batch.flush())  # LEAK
        self.batch.events.append(event)
        if len(self.batch.events) == 10:
            done, self.batch = self.batch, None
            asyncio.create_task(send(done.events))


async def send(events):
    await asyncio.sleep(0.01)


async def main():
    batcher = Batcher(asyncio.get_running_loop())
    while True:
        batcher.add(bytearray(2_000))
        await asyncio.sleep(0.05)


asyncio.run(main())
