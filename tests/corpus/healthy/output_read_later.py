"""The output of a child fills its pipe and is read in a while, by a timer, while its end is awaited.

Healthy.
Looks like: deadlock, output not read
"""

import asyncio
import sys

LONG = "print('x' * 1_000_000)"


async def read(child):
    await asyncio.sleep(40)
    await child.stdout.read()


async def main():
    while True:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LONG, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(read(child))
            group.create_task(child.wait())


asyncio.run(main())
