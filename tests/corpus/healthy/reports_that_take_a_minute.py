"""All three connections of a pool are in use for most of a minute each, while twenty others wait for one.

Healthy.
Looks like: deadlock, connections lost
"""

import asyncio


class Pool:
    def __init__(self, port, max_size):
        self.port = port
        self.max_size = max_size
        self.idle = []
        self.in_use = set()
        self.condition = asyncio.Condition()

    def has_room(self):
        return self.idle or len(self.in_use) < self.max_size

    async def acquire(self):
        async with self.condition:
            await self.condition.wait_for(self.has_room)
            one = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
            self.in_use.add(one)
            return one

    async def release(self, one):
        async with self.condition:
            self.in_use.discard(one)
            self.idle.append(one)
            self.condition.notify()


async def database(reader, writer):
    while line := await reader.readline():
        await asyncio.sleep(50)
        writer.write(line)


async def report(pool):
    while True:
        connection = await pool.acquire()
        try:
            reader, writer = connection
            writer.write(b"report\n")
            await reader.readline()
        finally:
            await pool.release(connection)


async def main():
    server = await asyncio.start_server(database, "127.0.0.1", 0)
    pool = Pool(server.sockets[0].getsockname()[1], 3)
    await asyncio.gather(*(report(pool) for _ in range(23)))


asyncio.run(main())
