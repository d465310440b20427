"""Each call starts a recorder, a process that runs until it is told to end; nobody ever tells it.

Leak: sleep
Rate: 40
Runs: sleep
Shows: children never ended
"""

import asyncio
import random
import subprocess

recorders = []


async def main():
    while True:
        recorders.append(subprocess.Popen(["sleep", "3600"]))  # LEAK
        await asyncio.sleep(random.uniform(1.2, 1.8))


asyncio.run(main())
