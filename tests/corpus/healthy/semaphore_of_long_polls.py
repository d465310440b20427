"""Ten places for long polls of a server that answers once in ten minutes, thirty clients that want one.

Healthy.
Looks like: deadlock, nobody feeds it
"""

import asyncio


async def answer_late(reader, writer):
    await reader.readline()
    await asyncio.sleep(600)
    writer.close()


async def poll(places, port):
    while True:
        async with places:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"poll\n")
            await reader.read()
            writer.close()


async def main():
    server = await asyncio.start_server(answer_late, "127.0.0.1", 0)
    places, port = asyncio.Semaphore(10), server.sockets[0].getsockname()[1]
    await asyncio.gather(*(poll(places, port) for _ in range(30)))


asyncio.run(main())
