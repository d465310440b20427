"""asyncio.Queue: two actors with mailboxes of one, each sends two messages before it reads.

Shows: deadlock
"""

import asyncio


class Actor:
    def __init__(self):
        self.mailbox = asyncio.Queue(1)
        self.peer = None

    async def run(self):
        while True:
            for _ in range(2):
                await self.peer.mailbox.put("hello")  # HANG
            await self.mailbox.get()


async def main():
    one, other = Actor(), Actor()
    one.peer, other.peer = other, one
    await asyncio.gather(one.run(), other.run())


asyncio.run(main())
