"""After a deployment the fleet connects anew, one vehicle each second for a minute and a half, and stays.

Healthy.
Looks like: orphan
"""

import asyncio
import random


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line)


async def vehicle(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"position\n")
        await reader.readline()
        await asyncio.sleep(random.uniform(5, 15))


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        for _ in range(90):
            group.create_task(vehicle(port))
            await asyncio.sleep(1)


asyncio.run(main())
