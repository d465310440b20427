"""Look-ups in threads that hang: the pool is full and the callers pile up.

Leak: lookup
Rate: 60
Shows: blocking call, pool saturated
"""

import asyncio
import threading

never = threading.Event()


async def lookup():
    await asyncio.to_thread(never.wait)


async def main():
    kept = []
    while True:
        kept.append(asyncio.create_task(lookup()))  # LEAK
        await asyncio.sleep(1)


try:
    asyncio.run(main())
finally:
    never.set()
