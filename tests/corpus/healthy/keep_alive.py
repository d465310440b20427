"""Browsers leave their connections open; the server closes each that was quiet for half a minute.

Healthy.
Looks like: waits for a peer
"""

import asyncio
import contextlib
import random


async def serve(reader, writer):
    with contextlib.suppress(TimeoutError):
        while line := await asyncio.wait_for(reader.readline(), 30):
            writer.write(line)
    writer.close()


async def browse(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(random.randint(1, 5)):
        writer.write(b"GET\n")
        await reader.readline()
    await reader.read()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(browse(port))
            await asyncio.sleep(random.expovariate(1.5))


asyncio.run(main())
