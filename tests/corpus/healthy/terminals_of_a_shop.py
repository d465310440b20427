"""Terminals connect all morning, one every second and a half, and stay; each is in use.

Healthy.
Looks like: waits for a peer, orphan
"""

import asyncio
import random


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line)


async def terminal(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"sale\n")
        await reader.readline()
        await asyncio.sleep(random.expovariate(1 / 4))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(terminal(port))
            await asyncio.sleep(random.expovariate(1 / 1.5))


asyncio.run(main())
