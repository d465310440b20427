"""The service is ending: main waits for its pool, whose last uploads take minutes.

Healthy.
Looks like: cannot end
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor


def upload(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)


def watch(pool):
    for future in pool:
        future.result()


with ThreadPoolExecutor(3) as pool:
    uploads = [pool.submit(upload, seconds) for seconds in (300, 400, 500)]
    threading.Thread(target=watch, args=(uploads,)).start()
