"""Each report opens a connection and keeps its writer for later; none is ever used again, or closed.

Leak: StreamReaderProtocol
Rate: 60
Shows: connections without an owner
"""

import asyncio
import random


class Store(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(b"stored\n")


writers = []


async def report(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writers.append(writer)  # LEAK
    writer.write(b"report\n")
    await reader.readline()


async def main():
    server = await asyncio.get_running_loop().create_server(Store, "127.0.0.1", 0)
    while True:
        await report(server.sockets[0].getsockname()[1])
        await asyncio.sleep(random.uniform(0.8, 1.2))


asyncio.run(main())
