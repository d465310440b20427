"""The post office is down for five minutes: invoices are sent again and again, but each nine times at most.

Healthy.
Shows: limited rounds
Looks like: retried without a limit, held by a growing container
"""

import asyncio
import random

pending = set()


async def post(invoice):
    await asyncio.sleep(0.05)
    raise ConnectionError


async def send(invoice):
    for attempt in range(9):
        try:
            await post(invoice)
        except ConnectionError:
            await asyncio.sleep(min(2**attempt, 60) * random.uniform(0.8, 1.2))
        else:
            return


async def main():
    invoice = 0
    while True:
        invoice += 1
        task = asyncio.create_task(send(invoice))
        pending.add(task)
        task.add_done_callback(pending.discard)
        await asyncio.sleep(random.expovariate(1.2))


asyncio.run(main())
