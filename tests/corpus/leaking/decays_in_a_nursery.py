"""trio: each failed order is taken off the counter after five minutes, by a task of the service's nursery.

Needs: trio
Leak: forget
Rate: 300
Shows: sleeper per event
"""

import random

import trio

failures = 0


async def forget():
    global failures
    await trio.sleep(300)
    failures -= 1


async def main():
    global failures
    async with trio.open_nursery() as nursery:
        while True:
            await trio.sleep(random.expovariate(5))
            failures += 1
            nursery.start_soon(forget)  # LEAK


trio.run(main)
