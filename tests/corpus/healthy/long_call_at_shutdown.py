"""The loop has ended; asyncio waits for the default executor, where one call sleeps for ten minutes.

Healthy.
Looks like: cannot end, blocking call
"""

import asyncio
import time


async def main():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    await asyncio.sleep(1)


asyncio.run(main())
