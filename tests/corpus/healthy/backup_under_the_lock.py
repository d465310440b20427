"""A backup keeps the store's lock for minutes while it reads, chunk by chunk, from a slow child; others wait.

Healthy.
Looks like: deadlock
"""

import subprocess
import sys
import threading

SLOW = "import time\nwhile True: print('x' * 100, flush=True); time.sleep(15)"
lock = threading.Lock()


def back_up():
    with lock, subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE) as child:
        for _ in range(100):
            child.stdout.readline()


def write():
    with lock:
        pass


backup = threading.Thread(target=back_up)
backup.start()
while not lock.locked():
    pass
writers = [threading.Thread(target=write) for _ in range(4)]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
