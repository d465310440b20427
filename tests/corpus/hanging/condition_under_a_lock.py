"""Who waits for stock keeps the shop's lock meanwhile; who brings stock needs that lock first.

Shows: deadlock
"""

import threading


class Shop:
    def __init__(self):
        self.lock = threading.Lock()
        self.arrived = threading.Condition()
        self.stock = 0

    def buy(self):
        with self.lock, self.arrived:  # HANG
            while not self.stock:
                self.arrived.wait()  # HANG
            self.stock -= 1

    def deliver(self):
        with self.lock:  # HANG
            self.stock += 1
            with self.arrived:
                self.arrived.notify_all()


shop = Shop()
buyer = threading.Thread(target=shop.buy, name="buyer")
buyer.start()
while not shop.lock.locked():
    pass
supplier = threading.Thread(target=shop.deliver, name="supplier")
supplier.start()
buyer.join()
