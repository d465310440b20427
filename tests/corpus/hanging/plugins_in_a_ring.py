"""asyncio.Event: three plugins wait until the one that they need is up, in a ring.

Shows: deadlock
"""

import asyncio


class Plugin:
    def __init__(self):
        self.up = asyncio.Event()
        self.needs = None

    async def start(self):
        await self.needs.up.wait()  # HANG
        self.up.set()


async def main():
    plugins = [Plugin() for _ in range(3)]
    for plugin, needed in zip(plugins, [*plugins[1:], plugins[0]], strict=True):
        plugin.needs = needed
    async with asyncio.TaskGroup() as group:
        for plugin in plugins:
            group.create_task(plugin.start())


asyncio.run(main())
