"""A server of four guests: when one of them leaves, its protocol lets the next in; no task has any of them.

Healthy.
Looks like: connections lost
"""

import asyncio


class House:
    def __init__(self, most):
        self.most = most
        self.guests = set()
        self.queue = []

    async def enter(self, port):
        while len(self.guests) >= self.most:
            turn = asyncio.get_running_loop().create_future()
            self.queue.append(turn)
            await turn
        loop = asyncio.get_running_loop()
        _, guest = await loop.create_connection(lambda: Guest(self), "127.0.0.1", port)
        self.guests.add(guest)

    def leave(self, guest):
        self.guests.discard(guest)
        if self.queue:
            self.queue.pop(0).set_result(None)


class Guest(asyncio.Protocol):
    def __init__(self, house):
        self.house = house

    def connection_lost(self, error):
        self.house.leave(self)


async def host(reader, writer):
    await asyncio.sleep(45)
    writer.close()


async def main():
    server = await asyncio.start_server(host, "127.0.0.1", 0)
    house = House(4)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(*(house.enter(port) for _ in range(40)))
    await asyncio.sleep(3600)


asyncio.run(main())
