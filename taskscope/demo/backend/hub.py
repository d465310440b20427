"""Broadcasts the messages of one run to its watchers."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

    from taskscope.demo.backend.pace import Pace

OUTBOX = 100


class Client:
    """One watcher: a reader, a writer, and an outbox between the hub and the writer."""

    def __init__(self, hub: Hub, socket: web.WebSocketResponse) -> None:
        self.hub = hub
        self.socket = socket
        self.outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX)
        self.gone = asyncio.Event()

    async def read(self) -> None:
        """Reads until the watcher disconnects."""
        async for _message in self.socket:
            pass
        self.gone.set()
        await self.leave()

    async def leave(self) -> None:
        """Asks the hub to remove the client."""
        await self.hub.unregister.put(self)

    async def write(self) -> None:
        """Sends what is in the outbox, and a ping when it stays empty."""
        with contextlib.suppress(ConnectionError):
            while True:
                try:
                    async with asyncio.timeout(self.hub.pace.ping_every):
                        message = await self.outbox.get()
                except TimeoutError:
                    await self.socket.ping()
                else:
                    await self.socket.send_str(message)


class Hub:
    """Keeps the list of clients; only its own loop touches it."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.register: asyncio.Queue[Client] = asyncio.Queue()
        self.unregister: asyncio.Queue[Client] = asyncio.Queue(maxsize=1)
        self._messages: asyncio.Queue[str] = asyncio.Queue()
        self._clients: set[Client] = set()
        self._closing = False

    def publish(self, message: str) -> None:
        """Sends a message to every client, in the next round."""
        self._messages.put_nowait(message)

    def close(self) -> None:
        """Ends the loop after one more round."""
        self._closing = True

    async def serve(self, socket: web.WebSocketResponse) -> None:
        """Serves one client until it disconnects."""
        client = Client(self, socket)
        self.register.put_nowait(client)
        asyncio.create_task(client.write())
        asyncio.create_task(client.read())
        await client.gone.wait()

    async def run(self) -> None:
        """The hub's loop: handles joins, leaves and messages."""
        while True:
            closing = self._closing
            while not self.register.empty():
                self._clients.add(self.register.get_nowait())
            while not self.unregister.empty():
                self._clients.discard(self.unregister.get_nowait())
            while not self._messages.empty():
                self._broadcast(self._messages.get_nowait())
            if closing:
                return
            await asyncio.sleep(self.pace.beat)

    def _broadcast(self, message: str) -> None:
        for client in self._clients:
            with contextlib.suppress(asyncio.QueueFull):
                client.outbox.put_nowait(message)


class LeavingClient(Client):
    """Leaves without waiting for the hub's loop."""

    async def leave(self) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.hub.unregister.put_nowait(self)


class ClosingHub(Hub):
    """Its clients leave by themselves, and their writers end with them."""

    async def serve(self, socket: web.WebSocketResponse) -> None:
        client = LeavingClient(self, socket)
        self.register.put_nowait(client)
        writer = asyncio.create_task(client.write())
        reader = asyncio.create_task(client.read())
        try:
            await reader
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
