"""Each upload starts a conversion, whose process is kept and never waited for.

Leak: true
Rate: 60
Runs: true
Shows: children not waited for
"""

import asyncio
import random
import subprocess

conversions = []


async def main():
    while True:
        conversions.append(subprocess.Popen(["true"]))  # LEAK
        await asyncio.sleep(random.uniform(0.8, 1.2))


asyncio.run(main())
