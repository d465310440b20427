"""Each report has a loop in a thread of its own, which is stopped when the last page is fetched.

Healthy.
Looks like: thread never told to end
"""

import asyncio
import random
import threading
import time


class Bridge:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


bridges = []
while True:
    bridges.append((time.monotonic() + random.uniform(20, 60), Bridge()))
    time.sleep(random.uniform(2, 4))
    for due, bridge in list(bridges):
        if due < time.monotonic():
            bridges.remove((due, bridge))
            bridge.close()
