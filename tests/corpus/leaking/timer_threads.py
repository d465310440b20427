"""A timer of ten minutes, a thread, for each event.

Leak: Timer.run
Rate: 60
Shows: thread never told to end
"""

import threading
import time

while True:
    timer = threading.Timer(600, print)
    timer.daemon = True
    timer.start()  # LEAK
    time.sleep(1)
