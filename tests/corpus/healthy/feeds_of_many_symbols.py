"""A subscription for each symbol, opened one by one in two minutes; there is news on each now and then.

Healthy.
Looks like: waits for a peer, held by a growing container
"""

import asyncio
import random


async def exchange(reader, writer):
    await reader.readline()
    while True:
        await asyncio.sleep(random.uniform(2, 12))
        writer.write(b"a price\n")


class Feed:
    def __init__(self, port):
        self.port = port
        self.followed = []

    async def follow(self, symbol):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"%d\n" % symbol)
        while await reader.readline():
            await asyncio.sleep(0)

    def subscribe(self, symbol):
        self.followed.append(asyncio.create_task(self.follow(symbol)))


async def main():
    server = await asyncio.start_server(exchange, "127.0.0.1", 0)
    feed = Feed(server.sockets[0].getsockname()[1])
    for symbol in range(80):
        feed.subscribe(symbol)
        await asyncio.sleep(1.5)
    await server.serve_forever()


asyncio.run(main())
