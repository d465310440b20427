"""A search service: for two minutes an index is read into memory, and links to its shards are opened.

Healthy.
Looks like: growth without tasks, orphan
"""

import asyncio
import random
import threading
import time

SHARDS = 48


def load(index):
    for _ in range(240):
        index.append(bytes(bytearray(500_000)))
        time.sleep(0.5)


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(line)


async def link(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        await asyncio.sleep(random.uniform(3, 9))
        writer.write(b"ping\n")
        await reader.readline()


async def open_links(port, links):
    for _ in range(SHARDS):
        links.append(asyncio.create_task(link(port)))
        await asyncio.sleep(random.uniform(1, 4))


async def search():
    await asyncio.sleep(random.uniform(0.01, 0.3))


async def main():
    index, links = [], []
    threading.Thread(target=load, args=(index,), daemon=True).start()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    opening = asyncio.create_task(open_links(server.sockets[0].getsockname()[1], links))
    while opening:
        await asyncio.create_task(search())
        await asyncio.sleep(random.expovariate(10))


asyncio.run(main())
