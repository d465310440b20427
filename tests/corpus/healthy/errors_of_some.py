"""A service whose requests come from another thread, go through a lock of its loop, and fail now and then.

Healthy.
Looks like: wrong loop, wrong thread, most fail, most time out
"""

import asyncio
import random
import threading
import time


class Upstream:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def fetch(self):
        async with asyncio.timeout(2), self.lock:
            await asyncio.sleep(random.uniform(0.01, 0.05))
        if random.random() < 0.1:
            raise ConnectionError("no route to upstream")


def ask(loop, upstream):
    while True:
        answer = asyncio.run_coroutine_threadsafe(upstream.fetch(), loop)
        try:
            answer.result()
        except (ConnectionError, TimeoutError):
            pass
        time.sleep(0.05)


async def main():
    loop = asyncio.get_running_loop()
    upstream = Upstream()
    threading.Thread(target=ask, args=(loop, upstream), daemon=True).start()
    while True:
        await asyncio.sleep(1)


asyncio.run(main())
