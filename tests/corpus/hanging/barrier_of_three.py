"""Three workers meet at a barrier after each step; one has failed, and the two wait for it.

Shows: deadlock, owner gone, cannot end
"""

import threading


def work(number, barrier):
    if number == 2:
        raise ValueError("no such file")
    barrier.wait()  # HANG


threading.excepthook = lambda *_: None
barrier = threading.Barrier(3)
workers = [threading.Thread(target=work, args=(number, barrier)) for number in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
