"""Each screen listens on a bus and is never taken off it; news goes to all that ever listened.

Leak: Bus.show
Rate: 30
Shows: held by a growing container
"""

import asyncio
import random


class Bus:
    def __init__(self):
        self.listeners = []

    async def show(self, news):
        while True:
            print(await news.get())

    def listen(self):
        news = asyncio.Queue()
        self.listeners.append((news, asyncio.create_task(self.show(news))))  # LEAK

    def publish(self, text):
        for news, _ in self.listeners:
            news.put_nowait(text)


async def main():
    bus = Bus()
    while True:
        bus.listen()
        await asyncio.sleep(random.uniform(1, 3))
        bus.publish("news")


asyncio.run(main())
