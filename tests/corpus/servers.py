"""Servers for the programs that need one, on loopback; they live as long as the program does."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    import redis.asyncio as redis


@contextlib.asynccontextmanager
async def redis_client() -> AsyncIterator[redis.Redis]:
    """A client of a real server of its own, on a Unix socket."""
    import redis.asyncio as redis

    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/redis"
        command = ("redis-server", "--port", "0", "--unixsocket", address, "--dir", folder)
        server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            client = redis.Redis(unix_socket_path=address)
            while True:
                with contextlib.suppress(redis.ConnectionError):
                    await client.ping()
                    break
                await asyncio.sleep(0.1)
            yield client
        finally:
            server.kill()
            await server.wait()


@contextlib.asynccontextmanager
async def serving(protocol: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    """The port of a server that speaks this protocol."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class MqttBroker(asyncio.Protocol):
    """Accepts every client and subscription, answers pings, and has no messages."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            kind, length = data[0] >> 4, data[1]  # packets of these clients are short
            body, data = data[2 : 2 + length], data[2 + length :]
            if kind == 1:
                self.transport.write(b"\x20\x02\x00\x00")
            elif kind == 8:
                self.transport.write(b"\x90\x03" + body[:2] + b"\x00")
            elif kind == 12:
                self.transport.write(b"\xd0\x00")


class NatsServer(asyncio.Protocol):
    """Accepts every client and subscription, answers pings, and has no messages."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        transport.write(b'INFO {"server_id":"1","version":"2.10.0","max_payload":1048576,"headers":true}\r\n')

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"PONG\r\n" * data.count(b"PING\r\n"))


async def visit(url: str) -> bytes:
    """What a browser gets that shares nothing with the program's loop."""
    return await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=10).read())


@contextlib.asynccontextmanager
async def uvicorn_server(application: Callable[..., Coroutine[object, object, None]]) -> AsyncIterator[int]:
    """The port on which uvicorn serves it."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=0, log_level="error"))
    served = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    yield server.servers[0].sockets[0].getsockname()[1]
    await served
