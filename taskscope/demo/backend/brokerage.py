"""A mock broker on loopback, built from protocols and timers: it starts no tasks.

It acknowledges milestones and completions but not progress, never confirms a halt, and now and then
reports a burst of risks.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.demo.backend.pace import Pace

BURST = 3


class Brokerage:
    """Accepts sessions on one port."""

    def __init__(self, pace: Pace) -> None:
        self._every = pace.burst_every
        self.sessions: set[asyncio.Transport] = set()
        self.subscribers: set[asyncio.Transport] = set()
        self._accounts = itertools.count(1)

    async def start(self) -> None:
        """Listens on a free port."""
        self._loop = asyncio.get_running_loop()
        self._server = await self._loop.create_server(lambda: _Session(self), "127.0.0.1", 0)
        self._due = self._loop.time() + self._every / 4
        self._timer = self._loop.call_at(self._due, self._burst)

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
            session.close()

    def _burst(self) -> None:
        self._due += self._every
        self._timer = self._loop.call_at(self._due, self._burst)
        accounts = [f"account-{next(self._accounts)}\n" for _ in range(BURST)]
        for subscriber in self.subscribers:
            subscriber.write("".join(accounts).encode())


class _Session(asyncio.Protocol):
    def __init__(self, brokerage: Brokerage) -> None:
        self._brokerage = brokerage
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._brokerage.sessions.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._brokerage.sessions.discard(self._transport)
        self._brokerage.subscribers.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            number, *words = line.decode().split()
            if number == "RISK":
                self._brokerage.subscribers.add(self._transport)
            elif words[:2] in (["NOTICE", "milestone"], ["NOTICE", "completed"]):
                self._transport.write(f"{number}\n".encode())
