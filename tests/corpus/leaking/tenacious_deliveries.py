"""Deliveries are retried by tenacity without an end; what fails once fails for ever.

Leak: deliver
Rate: 30
Needs: tenacity
Shows: retried without a limit
"""

import asyncio

from tenacity import retry, wait_exponential_jitter


@retry(wait=wait_exponential_jitter(multiplier=0.5, max=15))
async def deliver(parcel):
    await asyncio.sleep(0.05)
    if parcel % 4 == 0:
        raise ConnectionError


async def accept(parcel):
    asyncio.create_task(deliver(parcel))  # LEAK


async def main():
    parcel = 0
    while True:
        parcel += 1
        await asyncio.create_task(accept(parcel))
        await asyncio.sleep(0.5)


asyncio.run(main())
