"""A monitor thread for each client; nobody tells it to stop.

Leak: Client.monitor
Rate: 30
Shows: thread never told to end
"""

import threading
import time


class Client:
    def __init__(self):
        self.stopped = threading.Event()
        threading.Thread(target=self.monitor, daemon=True).start()  # LEAK

    def monitor(self):
        while not self.stopped.wait(10):
            pass


while True:
    Client()
    time.sleep(2)
