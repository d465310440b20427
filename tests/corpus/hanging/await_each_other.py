"""A writer awaits the task of the reader, which awaits the writer's.

Shows: deadlock, await cycle
"""

import asyncio

tasks = {}


async def write():
    await asyncio.sleep(0.1)
    await asyncio.gather(tasks["read"])  # HANG


async def read():
    await asyncio.sleep(0.1)
    await asyncio.wait([tasks["write"]])  # HANG


async def main():
    tasks["read"] = asyncio.create_task(read())
    tasks["write"] = asyncio.create_task(write())
    await tasks["write"]


asyncio.run(main())
