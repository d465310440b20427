"""Code without asyncio takes an event loop from a pool of eight for each call, made when first needed.

Healthy.
Looks like: event loops never closed
"""

import asyncio
import random
import time

free, made = [], 0


async def answer():
    await asyncio.sleep(random.uniform(0.01, 0.1))


def call(taken):
    global made
    if not free and made < 8:
        free.append(asyncio.new_event_loop())
        made += 1
    loop = free.pop()
    loop.run_until_complete(answer())
    taken.append(loop)


while True:
    taken = []
    for _ in range(random.randint(1, 8)):
        call(taken)
    free += taken
    time.sleep(random.uniform(0.5, 3))
