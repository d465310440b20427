"""One watchdog observer; each change of a file starts a task that soon ends.

Healthy.
Needs: watchdog
"""

import asyncio
import random
import tempfile
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer


class Changes(FileSystemEventHandler):
    def __init__(self, loop):
        self.loop = loop

    def on_modified(self, event):
        asyncio.run_coroutine_threadsafe(upload(event.src_path), self.loop)


async def upload(path):
    await asyncio.sleep(random.uniform(0.1, 4))


async def main():
    with tempfile.TemporaryDirectory() as folder:
        observer = Observer()
        observer.schedule(Changes(asyncio.get_running_loop()), folder)
        observer.start()
        try:
            while True:
                Path(folder, random.choice("abcdef")).write_text("new")
                await asyncio.sleep(random.expovariate(2))
        finally:
            observer.stop()
            observer.join()


asyncio.run(main())
