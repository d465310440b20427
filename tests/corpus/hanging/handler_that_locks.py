"""A log handler counts under the service's lock; the service logs under that lock.

Shows: deadlock
"""

import logging
import threading
import time

lock = threading.Lock()


class Counting(logging.Handler):
    def emit(self, record):
        time.sleep(0.2)
        with lock:  # HANG
            pass


log = logging.getLogger("service")
log.addHandler(Counting())


def serve():
    with lock:  # HANG
        time.sleep(0.1)
        log.warning("slow")  # HANG


def watch():
    log.warning("checked")


threading.Thread(target=watch, name="watcher").start()
threading.Thread(target=serve, name="server").start()
