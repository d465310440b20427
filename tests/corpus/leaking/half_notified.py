"""Waiters of a condition come faster than they are notified.

Leak: waiter
Rate: 30
Shows: held by a growing container
"""

import asyncio


async def waiter(condition):
    async with condition:
        await condition.wait()


async def notify(condition):
    while True:
        await asyncio.sleep(2)
        async with condition:
            condition.notify(1)


async def main():
    condition, kept = asyncio.Condition(), set()
    notifier = asyncio.create_task(notify(condition))
    while True:
        task = asyncio.create_task(waiter(condition))  # LEAK
        kept.add(task)
        task.add_done_callback(kept.discard)
        await asyncio.sleep(1)
        del task
        assert not notifier.done()


asyncio.run(main())
