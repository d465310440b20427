"""trio: workers on a channel, locks in one order, a limiter at its limit, deadlines, jobs in threads.

Healthy.
Needs: trio
Looks like: deadlock, deadlocked with itself, loop held, nobody feeds it
"""

import random
import time

import trio


async def work(receive, locks, limiter):
    async for seconds in receive:
        async with locks[0], locks[1]:
            await trio.sleep(seconds / 10)
        await trio.to_thread.run_sync(time.sleep, seconds, limiter=limiter)
        with trio.move_on_after(seconds):
            await trio.sleep_forever()


async def keep(lock):
    async with lock:
        await trio.sleep_forever()


async def report(receive):
    async for _ in receive:
        pass


async def feed(send):
    while True:
        async with trio.open_nursery() as burst:
            for _ in range(random.randint(1, 20)):
                burst.start_soon(send.send, random.uniform(0.01, 0.2))
        await trio.sleep(1)


async def main():
    send, receive = trio.open_memory_channel(5)
    quiet, idle = trio.open_memory_channel(0)
    locks, limiter, kept = (trio.Lock(), trio.Lock()), trio.CapacityLimiter(3), trio.Lock()
    async with trio.open_nursery() as nursery, quiet:
        for _ in range(8):
            nursery.start_soon(work, receive.clone(), locks, limiter)
        for _ in range(3):
            nursery.start_soon(keep, kept)
        nursery.start_soon(report, idle)
        nursery.start_soon(feed, send)


trio.run(main)
