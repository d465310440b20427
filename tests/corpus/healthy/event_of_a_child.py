"""A thread keeps a lock until an event that a reader of a child's output sets; the child is slow.

Healthy.
Looks like: deadlock
"""

import subprocess
import sys
import threading

lock, ready = threading.Lock(), threading.Event()
SLOW = "import time; time.sleep(600); print('ready')"


def begin():
    with lock:
        ready.wait()


def use():
    with lock:
        pass


def read(child):
    child.stdout.readline()
    ready.set()


child = subprocess.Popen([sys.executable, "-c", SLOW], stdout=subprocess.PIPE)
threads = [
    threading.Thread(target=begin),
    threading.Thread(target=use),
    threading.Thread(target=read, args=(child,)),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
