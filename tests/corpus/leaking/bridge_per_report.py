"""A synchronous service renders each report through a loop in a thread, which is then forgotten.

Leak: BaseEventLoop.run_forever
Rate: 15
Shows: thread never told to end
"""

import asyncio
import random
import threading
import time


class Bridge:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()  # LEAK

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


async def render(page):
    await asyncio.sleep(random.uniform(0.1, 1))
    return page


def report():
    bridge = Bridge()
    for page in range(3):
        bridge.call(render(page))


while True:
    report()
    time.sleep(random.uniform(1.5, 3.2))
