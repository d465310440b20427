"""A project that is opened is watched with watchfiles, in a thread; closing it does not stop the watch.

Leak: Project.watch
Rate: 20
Needs: watchfiles
Shows: blocking call, pool saturated
"""

import asyncio
import random
import tempfile

from watchfiles import awatch

projects = []


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.changes = 0

    def open(self):
        self.watcher = asyncio.create_task(self.watch())  # LEAK

    async def watch(self):
        async for changes in awatch(self.folder, rust_timeout=60_000, force_polling=True):
            self.changes += len(changes)


async def main():
    with tempfile.TemporaryDirectory() as folder:
        while True:
            project = Project(folder)
            project.open()
            projects.append(project)
            await asyncio.sleep(random.uniform(2, 4))


asyncio.run(main())
