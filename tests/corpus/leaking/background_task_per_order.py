"""A Quart route gives each order to add_background_task; it waits for a payment that nobody reports.

Leak: Quart.add_background_task._wrapper
Rate: 45
Needs: quart
Shows: nobody can set it, fire and forget
"""

import asyncio
import random

from quart import Quart

app = Quart(__name__)


async def collect(order, paid):
    await paid.wait()
    print("paid", order)


@app.post("/orders/<int:order>")
async def accept(order):
    app.add_background_task(collect, order, asyncio.Event())  # LEAK
    return "accepted"


async def main():
    client, order = app.test_client(), 0
    while True:
        order += 1
        await client.post(f"/orders/{order}")
        await asyncio.sleep(random.uniform(0.8, 1.8))


asyncio.run(main())
