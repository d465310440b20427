"""Two transfers between the same accounts at the same time, each locks its own account first.

Shows: deadlock
"""

import threading


class Account:
    def __init__(self):
        self.lock = threading.Lock()
        self.balance = 100


def transfer(source, target, amount, begun):
    with source.lock:  # HANG
        begun.wait()
        with target.lock:  # HANG
            source.balance -= amount
            target.balance += amount


one, other, begun = Account(), Account(), threading.Barrier(2)
threads = [
    threading.Thread(target=transfer, args=(one, other, 10, begun)),
    threading.Thread(target=transfer, args=(other, one, 20, begun)),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
