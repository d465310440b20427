"""A mock exchange: market data and orders on one loopback port.

It is built from protocols and timers and starts no tasks: those in the process are the service's own.
"""

from __future__ import annotations

import asyncio
import random

MARGIN = 1_000
"""The exchange rejects orders of more than this quantity."""
TICK = 0.5
"""Seconds between two messages of one stream."""


class Exchange:
    """Accepts sessions and sends every subscriber a message each tick."""

    def __init__(self) -> None:
        self.sessions: set[_Session] = set()

    async def start(self) -> None:
        """Listens on a free port."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(lambda: _Session(self), "127.0.0.1", 0)
        self._timer = self._loop.call_later(TICK, self._tick)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def stop(self) -> None:
        """Closes every connection."""
        self._timer.cancel()
        self._server.close()
        for session in list(self.sessions):
            session.hang_up()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(TICK, self._tick)
        for session in self.sessions:
            session.publish()


class _Session(asyncio.Protocol):
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._buffer = b""
        self._subscribed: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._exchange.sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._exchange.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        replies = [reply for line in lines if (reply := self._answer(line.decode()))]
        if replies:
            self._transport.write("".join(replies).encode())

    def hang_up(self) -> None:
        self._transport.close()

    def publish(self) -> None:
        for stream in self._subscribed:
            self._transport.write(f"{stream} {_price():.2f}\n".encode())

    def _answer(self, line: str) -> str:
        word, *rest = line.split()
        if word == "SUB":
            self._subscribed.append(" ".join(rest))
            return ""
        number, _symbol, quantity = rest
        if int(quantity) > MARGIN:
            return f"{number} REJECTED margin\n"
        return f"{number} FILLED {_price():.2f}\n"


def _price() -> float:
    return random.uniform(90, 110)  # noqa: S311
