"""A client for code without asyncio makes an event loop for its calls, and closes none.

Leak: _UnixSelectorEventLoop
Rate: 60
Shows: event loops never closed
"""

import asyncio
import random
import time


class Client:
    def __init__(self, number):
        self.number = number
        self.loop = asyncio.new_event_loop()  # LEAK

    def fetch(self):
        return self.loop.run_until_complete(self.answer())

    async def answer(self):
        await asyncio.sleep(0.01)
        return self.number


clients = []
while True:
    clients.append(Client(len(clients)))
    clients[-1].fetch()
    time.sleep(random.uniform(0.8, 1.2))
