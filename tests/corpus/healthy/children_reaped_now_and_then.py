"""Small jobs run as processes; those that have ended are collected every twenty seconds.

Healthy.
Looks like: children not waited for
Runs: true
"""

import asyncio
import random
import subprocess

jobs = []


async def collect():
    while True:
        await asyncio.sleep(20)
        jobs[:] = [each for each in jobs if each.poll() is None]


async def main():
    collector = asyncio.create_task(collect())
    while not collector.done():
        jobs.append(subprocess.Popen(["true"]))
        await asyncio.sleep(random.expovariate(1))


asyncio.run(main())
