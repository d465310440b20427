"""Puts the parts together: a client for each symbol, the archive, the API, and a client that polls it."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from taskscope.demo.heartbeat.api import Api
from taskscope.demo.heartbeat.archive import Archive
from taskscope.demo.heartbeat.client import FeedClient, OwningClient
from taskscope.demo.heartbeat.venue import Venue

log = logging.getLogger("heartbeat")

SYMBOLS = ("ADA", "ATOM", "AVAX", "BTC", "DOGE", "DOT", "ETH", "LINK", "LTC", "SOL", "UNI", "XRP")
SESSION = 20.0
"""Seconds from one connect of a client to its next."""
RECONNECT_AFTER = 1.0
ASK_EVERY = 0.2


class QuoteService:
    """Twelve clients, each reconnecting every 20 s: 36 connects a minute at speed 1."""

    def __init__(self, *, fixed: bool, speed: float = 1.0) -> None:
        self._client_type = OwningClient if fixed else FeedClient
        self._reconnect_after = RECONNECT_AFTER / speed
        self._venue = Venue(hang_up_every=SESSION / len(SYMBOLS) / speed)
        self._archive = Archive()
        self._api = Api(self._archive)

    async def start(self) -> None:
        """Returns once the API listens and the clients have started."""
        await self._venue.start()
        self._archive.start()
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._clients = [
            self._client_type(
                self._http, f"{self._venue.url}/{symbol}", self._archive.put, self._reconnect_after
            )
            for symbol in SYMBOLS
        ]
        for client in self._clients:
            client.start()
        await self._api.start()
        self._asking = asyncio.create_task(self.ask(), name="dashboard")
        log.info("listening on %s:%d", *self._api.address)

    async def stop(self) -> None:
        """Stops the clients first, then what they feed."""
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        for client in self._clients:
            await client.stop()
        await self._api.stop()
        await self._http.close()
        await self._archive.stop()
        await self._venue.stop()

    async def ask(self) -> None:
        """A dashboard that polls the last prices, each time over a new connection."""
        host, port = self._api.address
        while True:
            await asyncio.sleep(ASK_EVERY)
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /last HTTP/1.1\r\nHost: quotes\r\nConnection: close\r\n\r\n")
            await reader.read()
            writer.close()
            await writer.wait_closed()
