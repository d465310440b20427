"""Guests come to a chat, one a second, and stay for two minutes and a half; news is rare.

Healthy.
Looks like: waits for a peer, nobody feeds it
"""

import asyncio
import random

rooms = set()


async def send(news, writer):
    while True:
        writer.write(await news.get())


async def serve(reader, writer):
    news = asyncio.Queue()
    rooms.add(news)
    sender = asyncio.create_task(send(news, writer))
    while line := await reader.readline():
        for each in random.sample(list(rooms), max(1, len(rooms) // 20)):
            each.put_nowait(line)
    rooms.discard(news)
    sender.cancel()


async def guest(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\n")
    await asyncio.wait({asyncio.ensure_future(reader.read())}, timeout=150)
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(guest(server.sockets[0].getsockname()[1]))
            await asyncio.sleep(1)


asyncio.run(main())
