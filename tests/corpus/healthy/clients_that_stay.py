"""Two hundred clients connect in the first twenty seconds, and stay.

Healthy.
Looks like: waits for a peer, limit reached
"""

import asyncio


async def serve(reader, writer):
    while data := await reader.readline():
        writer.write(data)


async def client(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(b"ping\n")
        await reader.readline()
        await asyncio.sleep(7)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(client(port))
            await asyncio.sleep(0.1)


asyncio.run(main())
