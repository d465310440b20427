"""A shop cancels orders that are not paid within two hours; the timers of paid ones stay, with the order.

Leak: Shop.expire
Rate: 180
Shows: timers never cancelled
"""

import asyncio
import random


class Shop:
    def __init__(self):
        self.open = {}

    def order(self, number):
        order = {"number": number, "items": [f"item {i} of {number}" for i in range(60)]}
        self.open[number] = order
        asyncio.get_running_loop().call_later(7200, self.expire, order)  # LEAK

    def paid(self, number):
        self.open.pop(number, None)

    def expire(self, order):
        self.open.pop(order["number"], None)


async def main():
    shop, number = Shop(), 0
    while True:
        number += 1
        shop.order(number)
        shop.paid(number - 5)
        await asyncio.sleep(random.expovariate(3))


asyncio.run(main())
