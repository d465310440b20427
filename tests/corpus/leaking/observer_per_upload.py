"""A watchdog observer, two threads, for each upload, never stopped.

Leak: run
Rate: 20
Needs: watchdog
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
        observer.start()
        observers.append(observer)
        time.sleep(6)
