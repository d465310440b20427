"""Each withdrawal waits in a thread for its approval; the half whose mail is not delivered waits for ever.

Leak: withdraw
Rate: 20
Shows: thread never told to end
"""

import random
import threading
import time


def withdraw(approved, account):
    approved.wait()
    print(account)


def mail(approved):
    if random.random() < 0.5:
        threading.Timer(random.uniform(0.5, 3), approved.set).start()


while True:
    approved = threading.Event()
    threading.Thread(target=withdraw, args=(approved, "savings"), daemon=True).start()  # LEAK
    mail(approved)
    del approved
    time.sleep(random.uniform(1, 2))
