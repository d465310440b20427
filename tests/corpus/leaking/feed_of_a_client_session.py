"""A price feed is read from a stream of events; each silence opens a new one beside the old.

Leak: Feed.read
Rate: 20
Needs: aiohttp
Shows: waits for a peer
"""

import asyncio
import contextlib

import aiohttp


class Exchange(asyncio.Protocol):
    """Sends one event and falls silent."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.transport.write(head + b"f\r\ndata: welcome\n\n\r\n")


class Feed:
    def __init__(self, url):
        self.url = url
        self.sessions = []
        self.heard = asyncio.Event()

    async def read(self, session):
        async with session.get(self.url) as response:
            async for _ in response.content:
                self.heard.set()

    async def follow(self):
        while True:
            session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
            self.sessions.append((session, asyncio.create_task(self.read(session))))  # LEAK
            with contextlib.suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(3):
                        await self.heard.wait()
                        self.heard.clear()


async def main():
    server = await asyncio.get_running_loop().create_server(Exchange, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await Feed(f"http://127.0.0.1:{port}/").follow()


asyncio.run(main())
