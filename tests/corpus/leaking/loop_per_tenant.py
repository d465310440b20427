"""Each tenant gets an event loop in a thread of its own, which runs on with nothing to do when he leaves.

Leak: BaseEventLoop.run_forever
Rate: 24
Shows: thread never told to end
"""

import asyncio
import random
import threading
import time


class Tenant:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()  # LEAK

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()


async def greet():
    await asyncio.sleep(0.05)


tenants = []
while True:
    tenant = Tenant()
    tenant.call(greet())
    tenants.append(tenant)
    time.sleep(random.uniform(2, 3))
