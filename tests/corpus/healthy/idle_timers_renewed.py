"""Connections come all day, talk for a while and close; each has an idle timer of an hour, always renewed.

Healthy.
Looks like: timers never cancelled
"""

import asyncio
import random


class Connection(asyncio.Protocol):
    timer = None

    def connection_made(self, transport):
        self.transport = transport
        self.buffer = bytearray(10_000)
        self.renew()

    def data_received(self, data):
        self.transport.write(data)
        self.renew()

    def renew(self):
        if self.timer is not None:
            self.timer.cancel()
        self.timer = asyncio.get_running_loop().call_later(3600, self.transport.close)

    def connection_lost(self, error):
        self.timer.cancel()


async def talk(address):
    reader, writer = await asyncio.open_connection(*address)
    for _ in range(random.randint(2, 200)):
        writer.write(b"hello")
        await reader.read(100)
        await asyncio.sleep(random.uniform(0.2, 2))
    writer.close()


async def main():
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(talk(server.sockets[0].getsockname()))
            await asyncio.sleep(random.expovariate(2))


asyncio.run(main())
