"""A thread for each request, soon done.

Healthy.
Looks like: one pool, thread never told to end
"""

import random
import threading
import time


def handle():
    time.sleep(random.uniform(0.1, 3))


while True:
    threading.Thread(target=handle).start()
    time.sleep(random.expovariate(4))
