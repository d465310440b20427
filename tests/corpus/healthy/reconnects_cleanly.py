"""A client that reconnects, and ends its heartbeat each time.

Healthy.
Looks like: orphan
"""

import asyncio
import contextlib


async def heartbeat():
    while True:
        await asyncio.sleep(0.3)


async def session():
    task = asyncio.create_task(heartbeat())
    try:
        await asyncio.sleep(1.5)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def main():
    while True:
        await asyncio.create_task(session())


asyncio.run(main())
