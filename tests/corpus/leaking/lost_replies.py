"""An RPC client: one reply in ten is lost, and its caller waits for ever.

Leak: call
Rate: 30
Shows: held by a growing container
"""

import asyncio
import itertools
import random

pending = {}
numbers = itertools.count()


async def call():
    number = next(numbers)
    pending[number] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(random.uniform(0.01, 0.2), reply, number)
    return await pending[number]


def reply(number):
    if number % 10:
        pending.pop(number).set_result(number)


async def main():
    callers = set()
    while True:
        task = asyncio.create_task(call())  # LEAK
        callers.add(task)
        task.add_done_callback(callers.discard)
        await asyncio.sleep(0.2)


asyncio.run(main())
