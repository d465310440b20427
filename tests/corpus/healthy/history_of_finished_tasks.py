"""The last thousand finished jobs are kept on purpose, for a page that shows them; five a second.

Healthy.
Looks like: growth without tasks
"""

import asyncio
import os
from collections import deque

history = deque(maxlen=1_000)


async def job():
    await asyncio.sleep(0.1)
    return os.urandom(1_000)


async def main():
    async with asyncio.TaskGroup() as group:
        for _ in range(900):  # as if it had run for minutes
            history.append(group.create_task(job()))
        while True:
            history.append(group.create_task(job()))
            await asyncio.sleep(0.2)


asyncio.run(main())
