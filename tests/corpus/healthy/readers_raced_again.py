"""Each session races its next message against the order to stop; what loses a round is kept for the next.

Healthy.
Looks like: race loser
"""

import asyncio
import random


class Session:
    def __init__(self):
        self.messages = asyncio.Queue()
        self.stopped = asyncio.Event()

    async def serve(self):
        stop = asyncio.create_task(self.stopped.wait())
        pending = {stop}
        while not stop.done():
            if len(pending) < 2:
                pending.add(asyncio.create_task(self.messages.get()))
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0.02 * len(done))
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def live(kept):
    session = Session()
    serving = asyncio.create_task(session.serve())
    kept[session] = serving
    for number in range(random.randint(20, 60)):
        await asyncio.sleep(random.expovariate(1))
        session.messages.put_nowait(number)
    session.stopped.set()
    await serving
    del kept[session]


async def main():
    kept, lives = {}, set()
    while True:
        task = asyncio.create_task(live(kept))
        lives.add(task)
        task.add_done_callback(lives.discard)
        await asyncio.sleep(random.uniform(0.5, 1.5))


asyncio.run(main())
