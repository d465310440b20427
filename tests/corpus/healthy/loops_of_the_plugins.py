"""Each of eight plugins has an event loop in a thread of its own, begun one after another; they are idle.

Healthy.
Looks like: thread never told to end
"""

import asyncio
import random
import threading
import time


async def work():
    await asyncio.sleep(random.uniform(0.1, 1))


loops = []
for _ in range(8):
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    loops.append(loop)
    time.sleep(5)
while True:
    asyncio.run_coroutine_threadsafe(work(), random.choice(loops))
    time.sleep(random.expovariate(1 / 3))
