"""A cache whose entries are evicted by a timer after half an hour, armed in the context of a request.

Healthy.
Looks like: timers never cancelled
"""

import asyncio
import contextvars
import itertools

request = contextvars.ContextVar("request")
cache = {}


async def handle(key):
    request.set({"key": key, "body": bytes(3_000)})
    cache[key] = bytearray(500)
    asyncio.get_running_loop().call_later(1800, cache.pop, key, None)


async def main():
    for key in itertools.count():
        await asyncio.create_task(handle(f"key {key}"))
        await asyncio.sleep(0.1)


asyncio.run(main())
