"""A service that waits.

Healthy.
Looks like: lost wake-up, process paused
"""

import asyncio


async def main():
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
