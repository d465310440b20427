"""A publisher with thirty subscribers and a queue for each.

Healthy.
Looks like: nobody feeds it
"""

import asyncio


async def subscriber(inbox):
    while True:
        await inbox.get()


async def main():
    inboxes = [asyncio.Queue() for _ in range(30)]
    async with asyncio.TaskGroup() as group:
        for inbox in inboxes:
            group.create_task(subscriber(inbox))
        while True:
            for inbox in inboxes:
                inbox.put_nowait("news")
            await asyncio.sleep(0.5)


asyncio.run(main())
