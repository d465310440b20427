"""Six threads that all want the same two locks, always in one order: contended, but moving.

Healthy.
Looks like: deadlock
"""

import threading
import time

ledger, journal = threading.Lock(), threading.Lock()


def book():
    while True:
        with ledger:
            time.sleep(0.02)
            with journal:
                time.sleep(0.05)


for _ in range(5):
    threading.Thread(target=book).start()
book()
