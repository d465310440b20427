"""trio: each request waits for its reply in the service's nursery; what takes too long is only forgotten.

Needs: trio
Leak: answer
Rate: 80
Shows: nobody can set it
"""

import random

import trio

pending = {}


async def answer(number):
    arrived = pending[number] = trio.Event()
    await arrived.wait()


async def peer():
    while True:
        await trio.sleep(0.2)
        for number, arrived in list(pending.items()):
            del pending[number]
            if number % 3:
                arrived.set()


async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer)
        number = 0
        while True:
            number += 1
            nursery.start_soon(answer, number)  # LEAK
            await trio.sleep(random.uniform(0.2, 0.3))


trio.run(main)
