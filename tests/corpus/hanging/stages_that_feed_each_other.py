"""Two stages with queues of two: both are full, and each puts before it gets.

Shows: deadlock
"""

import queue
import threading


def stage(inbox, outbox):
    while True:
        for number in range(3):
            outbox.put(number)  # HANG
        inbox.get()


left, right = queue.Queue(2), queue.Queue(2)
stages = [
    threading.Thread(target=stage, args=(left, right), name="parser"),
    threading.Thread(target=stage, args=(right, left), name="planner"),
]
for each in stages:
    each.start()
for each in stages:
    each.join()
