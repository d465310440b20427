"""Threads render what is in one queue; while the backlog lasts, one more is started every three seconds.

There are eighty at most, and one that gets nothing for twenty seconds ends.

Healthy.
Shows: workers at work
Looks like: thread never told to end
"""

import queue
import random
import threading
import time

frames = queue.Queue()


def render(frame):
    time.sleep(random.uniform(2, 5))


def worker():
    while True:
        try:
            frame = frames.get(timeout=20)
        except queue.Empty:
            return
        render(frame)


def scale():
    while True:
        time.sleep(3)
        if frames.qsize() > 5 and threading.active_count() < 82:
            threading.Thread(target=worker, daemon=True).start()


threading.Thread(target=scale, daemon=True).start()
while True:
    frames.put(object())
    time.sleep(random.expovariate(20))
