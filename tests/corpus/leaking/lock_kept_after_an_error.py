"""A ledger whose lock is released by hand; the one entry that cannot be written keeps it.

Leak: Ledger.post
Rate: 60
Shows: lock not released, slots lost
"""

import asyncio


class Ledger:
    def __init__(self):
        self.lock = asyncio.Lock()
        self.entries = []

    async def post(self, amount):
        await self.lock.acquire()  # LEAK
        await asyncio.sleep(0.01)
        self.entries.append(100 / amount)
        self.lock.release()


async def main():
    ledger, kept, amount = Ledger(), [], -5
    while True:
        kept.append(asyncio.create_task(ledger.post(amount)))  # LEAK
        amount += 1
        await asyncio.sleep(1)


asyncio.run(main())
