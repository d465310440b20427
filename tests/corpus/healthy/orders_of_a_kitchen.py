"""Orders go to another process through a queue of two; each takes half a minute, so who adds one waits.

Healthy.
Looks like: deadlock
"""

import multiprocessing
import time


def cook(orders):
    while orders.get():
        time.sleep(30)


if __name__ == "__main__":
    orders = multiprocessing.Queue(2)
    multiprocessing.Process(target=cook, args=(orders,), daemon=True).start()
    while True:
        orders.put("soup")
