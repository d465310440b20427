"""Servers for the programs that need one, on loopback; they live as long as the program does."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socketserver
import struct
import tempfile
import threading
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


class Postgres(socketserver.StreamRequestHandler):
    """Accepts every client, and nothing but its farewell: no query."""

    def handle(self) -> None:
        (length,) = struct.unpack("!I", self.rfile.read(4))
        self.rfile.read(length - 4)
        parts = (b"R", b"\0\0\0\0"), (b"S", b"client_encoding\0UTF8\0"), (b"Z", b"I")
        self.wfile.write(b"".join(kind + struct.pack("!I", len(body) + 4) + body for kind, body in parts))
        self.rfile.read(1)


class Pages(http.server.BaseHTTPRequestHandler):
    """A long page: whoever does not read it to its end keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2000000")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(bytes(2_000_000))

    def log_message(self, *_: object) -> None:
        pass


def in_threads(handler: type[socketserver.BaseRequestHandler]) -> int:
    """The port of a server with a thread for each connection."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def postgres() -> str:
    """Where psycopg finds a server, as it wants to be told."""
    return f"host=127.0.0.1 port={in_threads(Postgres)} user=x dbname=x sslmode=disable gssencmode=disable"


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
