"""A pool notes a lease by its name only, and takes back what was not returned in time: nobody has them.

Healthy.
Looks like: connections lost
"""

import asyncio
import itertools


class Leases:
    def __init__(self, port, limit):
        self.port = port
        self.limit = limit
        self.leased = {}
        self.waiting = []

    async def lease(self, name):
        while len(self.leased) >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        self.leased[name] = await asyncio.open_connection("127.0.0.1", self.port)
        asyncio.get_running_loop().call_later(40, self.take_back, name)

    def take_back(self, name):
        self.leased.pop(name)[1].close()
        if self.waiting:
            self.waiting.pop(0).set_result(None)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    leases = Leases(server.sockets[0].getsockname()[1], 4)
    for number in itertools.count():
        await leases.lease(number)


asyncio.run(main())
