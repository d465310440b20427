"""A collector is stopped under the lock that its thread takes for each round.

Shows: deadlock
"""

import threading
import time


class Collector:
    def __init__(self):
        self.lock = threading.Lock()
        self.running = True
        self.thread = threading.Thread(target=self.collect, name="collector")

    def collect(self):
        while self.running:
            time.sleep(0.1)
            with self.lock:  # HANG
                pass

    def stop(self):
        with self.lock:  # HANG
            time.sleep(0.3)
            self.running = False
            self.thread.join()  # HANG


collector = Collector()
collector.thread.start()
collector.stop()
