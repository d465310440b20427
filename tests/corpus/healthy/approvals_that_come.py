"""Each withdrawal waits in a thread for its approval, which comes after half a minute or more.

Healthy.
Looks like: thread never told to end
"""

import random
import threading
import time

pending = {}


def withdraw(number):
    approved = pending[number] = threading.Event()
    approved.wait()
    del pending[number]


def approve(number):
    event = pending.get(number)
    if event is not None:
        event.set()


def approver(orders):
    while True:
        now = time.monotonic()
        for number in [each for each, due in list(orders.items()) if due < now]:
            del orders[number]
            approve(number)
        time.sleep(1)


number, orders = 0, {}
threading.Thread(target=approver, args=(orders,), daemon=True).start()
while True:
    number += 1
    threading.Thread(target=withdraw, args=(number,), daemon=True).start()
    orders[number] = time.monotonic() + random.uniform(25, 70)
    time.sleep(random.uniform(1, 3))
