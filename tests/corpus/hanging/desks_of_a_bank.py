"""A pool written by hand: three connections to a bank; a refused customer goes without putting one back.

Shows: connections lost
"""

import asyncio


class Desks:
    def __init__(self, port, size):
        self.port = port
        self.size = size
        self.free = []
        self.taken = set()
        self.changed = asyncio.Condition()

    async def take(self):
        async with self.changed:
            while not self.free and len(self.taken) >= self.size:
                await self.changed.wait()
            desk = self.free.pop() if self.free else await asyncio.open_connection("127.0.0.1", self.port)
            self.taken.add(desk)
            return desk

    async def put_back(self, desk):
        async with self.changed:
            self.taken.remove(desk)
            self.free.append(desk)
            self.changed.notify()


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line)


async def visit(desks, number):
    reader, writer = desk = await desks.take()  # HANG
    writer.write(b"%d\n" % number)
    if int(await reader.readline()) % 4 == 0:
        raise ValueError("refused")
    await desks.put_back(desk)


async def customer(desks, number):
    while True:
        try:
            await visit(desks, number)
        except ValueError:
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.1)


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    desks = Desks(server.sockets[0].getsockname()[1], 3)
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(customer(desks, number))
        while True:
            await asyncio.sleep(0.2)


asyncio.run(main())
