"""A mock container daemon that serves log lines over loopback.

Each stream has one follower, the latest; earlier ones get nothing more, but their connections stay open.
It is built from protocols and timers and starts no tasks.
"""

from __future__ import annotations

import asyncio
import itertools

BEATS = 20
BEAT = 0.1
"""Seconds; at each beat one stream of ``BEATS`` logs a line, so each logs one every 2 s."""


class Daemon:
    """Accepts followers and sends each stream's lines to its latest one."""

    def __init__(self) -> None:
        self.followers: dict[str, asyncio.Transport] = {}
        self.connections: set[asyncio.Transport] = set()
        self._beats = itertools.count()

    async def start(self) -> None:
        """Listens on a free port."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self._timer = self._loop.call_later(BEAT, self._beat)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def stop(self) -> None:
        """Closes every connection."""
        self._timer.cancel()
        self._server.close()
        for connection in list(self.connections):
            connection.abort()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(BEAT, self._beat)
        beat = next(self._beats)
        for number, (stream, follower) in enumerate(self.followers.items()):
            if number % BEATS == beat % BEATS:
                follower.write(f"{stream} request {beat} served\n".encode())


class _Connection(asyncio.Protocol):
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._stream = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._daemon.connections.add(transport)

    def data_received(self, data: bytes) -> None:
        _, _, stream = data.decode().strip().partition(" ")
        self._stream = stream
        self._daemon.followers[stream] = self._transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._daemon.connections.discard(self._transport)
        if self._daemon.followers.get(self._stream) is self._transport:
            del self._daemon.followers[self._stream]
