"""A client keeps up to twenty connections open for reuse; it opens them as the load asks for them.

Healthy.
Looks like: connections without an owner
"""

import asyncio
import random


class Store(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        asyncio.get_running_loop().call_later(random.uniform(0.05, 1), self.transport.write, b"stored\n")


free, places = [], asyncio.Semaphore(20)


async def store(port):
    async with places:
        reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"report\n")
        await reader.readline()
        free.append((reader, writer))


async def main():
    server = await asyncio.get_running_loop().create_server(Store, "127.0.0.1", 0)
    port, tasks = server.sockets[0].getsockname()[1], set()
    while True:
        task = asyncio.create_task(store(port))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(random.expovariate(8))


asyncio.run(main())
