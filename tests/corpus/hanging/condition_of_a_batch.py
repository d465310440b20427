"""asyncio.Condition: a batch is waited for under the lock that whoever fills it needs.

Shows: deadlock
"""

import asyncio


class Batches:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.filled = asyncio.Condition()
        self.rows = []

    async def flush(self):
        async with self.lock, self.filled:  # HANG
            await self.filled.wait_for(lambda: len(self.rows) >= 3)  # HANG
            self.rows.clear()

    async def add(self, row):
        async with self.lock:  # HANG
            self.rows.append(row)
            async with self.filled:
                self.filled.notify_all()


async def main():
    batches = Batches()
    flushing = asyncio.create_task(batches.flush())
    await asyncio.sleep(0.1)
    await asyncio.gather(flushing, *(batches.add(number) for number in range(3)))


asyncio.run(main())
