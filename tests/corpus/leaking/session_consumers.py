"""Each session has a queue and a consumer that nobody ends.

Leak: Session.consume
Rate: 60
Shows: nobody feeds it
"""

import asyncio

sessions = {}


class Session:
    def __init__(self, name):
        self.name = name
        self.inbox = asyncio.Queue()
        self.task = asyncio.create_task(self.consume())  # LEAK

    async def consume(self):
        while True:
            message = await self.inbox.get()
            if message is None:
                return


async def main():
    number = 0
    while True:
        number += 1
        session = sessions[number] = Session(f"s{number}")
        session.inbox.put_nowait("hello")
        await asyncio.sleep(1)


asyncio.run(main())
