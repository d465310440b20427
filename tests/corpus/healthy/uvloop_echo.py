"""A uvloop echo server with clients that come and go.

Healthy.
Needs: uvloop
"""

import asyncio
import random

import uvloop


async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(random.randint(5, 40)):
        writer.write(b"hello")
        await reader.read(100)
        await asyncio.sleep(0.5)
    writer.close()
    await writer.wait_closed()


async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(client(port))
            await asyncio.sleep(random.expovariate(3))


uvloop.run(main())
