"""Each order takes the first price of a feed of its own and keeps the feed, which is never closed.

Leak: prices
Rate: 120
Shows: async generators left open
"""

import asyncio
import random

orders = []


async def prices(symbol):
    price = 100.0
    while True:
        price += random.uniform(-1, 1)
        yield symbol, price  # LEAK


async def main():
    for number in range(1_000_000):
        feed = prices(f"S{number % 50}")
        orders.append((await anext(feed), feed))
        await asyncio.sleep(random.uniform(0.3, 0.7))


asyncio.run(main())
