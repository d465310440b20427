"""Three pages are read line by line with a client of three connections; each line asks for another page.

Shows: deadlock
Needs: httpx
"""

import asyncio

import httpx


async def serve(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(1_000):
        writer.write(b"7\r\n/quote\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def read(client, url):
    async with client.stream("GET", url) as page:
        async for line in page.aiter_lines():
            await asyncio.sleep(0.1)
            await client.get(url + line)  # HANG


async def tick():
    while True:
        await asyncio.sleep(0.2)


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    limits = httpx.Limits(max_connections=3)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client, asyncio.TaskGroup() as group:
        group.create_task(tick())
        for _ in range(3):
            group.create_task(read(client, url))


asyncio.run(main())
