"""A sync wrapper around an async client, called from a coroutine: it waits for its own loop.

Shows: deadlocked with itself
"""

import asyncio


class Client:
    def __init__(self, loop):
        self.loop = loop

    async def fetch(self, key):
        await asyncio.sleep(0.1)
        return key

    def get(self, key):
        return asyncio.run_coroutine_threadsafe(self.fetch(key), self.loop).result()  # HANG


async def main():
    client = Client(asyncio.get_running_loop())
    await asyncio.sleep(0.1)
    print(client.get("a"))


asyncio.run(main())
