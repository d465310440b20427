"""Terminals connect all morning, one every second and a half, and stay; each is in use.

Healthy.
Looks like: waits for a peer, orphan
"""

import asyncio
import random


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    terminals = []
    while True:
        terminals.append(await asyncio.open_connection("127.0.0.1", port))
        for reader, writer in random.sample(terminals, len(terminals) // 4):
            writer.write(b"sale\n")
            await reader.readline()
        await asyncio.sleep(random.expovariate(1 / 1.5))


asyncio.run(main())
