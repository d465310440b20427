"""A helper starts everything; one caller in fifty never ends.

Leak: supervised
Rate: 60
Shows: nobody can set it
"""

import asyncio

background = set()


async def supervised(work):
    try:
        await work
    finally:
        pass


def spawn(work):
    task = asyncio.create_task(supervised(work))
    background.add(task)
    task.add_done_callback(background.discard)


async def request():
    await asyncio.sleep(0.05)


async def follow(feed):
    await feed.get()


async def main():
    number = 0
    while True:
        number += 1
        spawn(request() if number % 50 else follow(asyncio.Queue()))  # LEAK
        await asyncio.sleep(0.02)


asyncio.run(main())
