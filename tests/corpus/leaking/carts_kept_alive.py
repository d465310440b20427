"""Each click postpones the end of a cart by an hour, with a new timer; the earlier ones are not cancelled.

Leak: Carts.forget
Rate: 180
Shows: timers never cancelled
"""

import asyncio
import random


class Cart:
    def __init__(self):
        self.items = []
        self.timer = None


class Carts:
    def __init__(self):
        self.open = set()

    def click(self, cart):
        self.open.add(cart)
        cart.timer = asyncio.get_running_loop().call_later(3600, self.forget, cart)  # LEAK

    def pay(self, cart):
        cart.timer.cancel()
        self.forget(cart)

    def forget(self, cart):
        self.open.discard(cart)


async def main():
    carts = Carts()
    while True:
        cart = Cart()
        for item in range(random.randint(4, 12)):
            cart.items.append(item)
            carts.click(cart)
            await asyncio.sleep(random.expovariate(3))
        carts.pay(cart)


asyncio.run(main())
