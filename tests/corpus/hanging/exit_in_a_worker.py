"""At the end the main thread shuts a pool down; its job waits for an event that only main would have set.

Shows: cannot end, deadlock
"""

import threading
from concurrent.futures import ThreadPoolExecutor

stop = threading.Event()


def poll():
    stop.wait()  # HANG


with ThreadPoolExecutor(1) as pool:
    pool.submit(poll)
stop.set()
