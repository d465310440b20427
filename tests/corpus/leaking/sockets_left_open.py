"""A poller opens a connection each time and never closes it; the server keeps a handler for each.

Leak: handle
Rate: 60
Shows: waits for a peer
"""

import asyncio

kept = []


async def handle(reader, writer):  # LEAK
    writer.write(b"hello\n")
    await reader.read()


async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)  # LEAK
    port = server.sockets[0].getsockname()[1]
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        kept.append(writer)
        await asyncio.sleep(1)


asyncio.run(main())
