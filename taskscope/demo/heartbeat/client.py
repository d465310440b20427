"""A websocket client for the quotes of one symbol, which reconnects when the venue disconnects."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("heartbeat.client")

HEARTBEAT_EVERY = 15.0
STOP_TIMEOUT = 5.0


class FeedClient:
    """Follows one symbol until stopped.  ``sink`` gets each quote."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, sink: Callable[[str], None], reconnect_after: float = 1.0
    ) -> None:
        self._http = http
        self._url = url
        self._sink = sink
        self._reconnect_after = reconnect_after
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._closing = asyncio.Event()
        self.connected = asyncio.Event()

    def start(self) -> None:
        """Starts following."""
        self._runner = asyncio.create_task(self.run(), name=f"run {self._url}")

    async def stop(self) -> None:
        """Disconnects."""
        self._closing.set()
        self._runner.cancel()
        await self._hang_up()

    async def run(self) -> None:
        """Runs one session after another."""
        while not self._closing.is_set():
            session = asyncio.create_task(self.follow())
            try:
                await session
            except aiohttp.ClientError as error:
                log.warning("%s: %s", self._url, error)
            else:
                log.debug("%s: the venue disconnected", self._url)
            await self.pause()

    async def follow(self) -> None:
        """Runs one session, from connect to disconnect."""
        await self.connect()
        await self.read()

    async def connect(self) -> None:
        """Opens the connection and keeps it alive."""
        await self._open()
        asyncio.create_task(self.heartbeat())

    async def heartbeat(self) -> None:
        """Sends periodic heartbeats to the venue."""
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY)
            if self._socket is not None and not self._socket.closed:
                try:
                    await self._socket.send_str("heartbeat")
                except ConnectionError:
                    log.debug("%s: heartbeat not sent", self._url)

    async def read(self) -> None:
        """Forwards every quote until the venue disconnects."""
        assert self._socket is not None
        async for message in self._socket:
            self._sink(message.data)

    async def pause(self) -> None:
        """Waits before the next session."""
        await asyncio.sleep(self._reconnect_after)

    async def _open(self) -> None:
        self._socket = await self._http.ws_connect(self._url)
        self.connected.set()

    async def _hang_up(self) -> None:
        if self._socket is not None:
            await self._socket.close()


class OwningClient(FeedClient):
    """Keeps its tasks, cancels them with the session, and awaits them on stop."""

    async def stop(self) -> None:
        self._closing.set()
        self._runner.cancel()
        await self._hang_up()
        await asyncio.wait([self._runner], timeout=STOP_TIMEOUT)

    async def follow(self) -> None:
        await self.connect()
        try:
            await self.read()
        finally:
            self._heartbeat.cancel()
            await asyncio.wait([self._heartbeat], timeout=STOP_TIMEOUT)

    async def connect(self) -> None:
        await self._open()
        self._heartbeat = asyncio.create_task(self.heartbeat())

    async def pause(self) -> None:
        try:
            async with asyncio.timeout(self._reconnect_after):
                await self._closing.wait()
        except TimeoutError:
            pass
