"""A watchdog observer, two threads, for each upload, never stopped.

Leak: run
Rate: 20
Needs: watchdog
Shows: thread never told to end
"""

import tempfile
import time

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

with tempfile.TemporaryDirectory() as folder:
    observers = []
    while True:
        observer = Observer()
        observer.schedule(FileSystemEventHandler(), folder)
        observer.start()  # LEAK
        observers.append(observer)
        time.sleep(6)
