"""Puts the parts together and starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging

from taskscope.demo.orders.desk import Desk
from taskscope.demo.orders.exchange import Exchange
from taskscope.demo.orders.executor import DecayingFailures, Failures, OrderExecutor, WindowedFailures
from taskscope.demo.orders.gateway import Gateway
from taskscope.demo.orders.server import OrderServer
from taskscope.demo.orders.stream import MarketStreams, OwnedStreams

log = logging.getLogger("orders")

FAILURE_WINDOW = 300.0
"""Seconds for which a failed order counts as recent."""
REPORT_EVERY = 10.0
SYMBOLS = ("ADA", "ATOM", "AVAX", "BTC", "DOT", "ETH", "LINK", "LTC", "SOL", "XRP")


class OrderService:
    """The order executor between a loopback exchange and a trading desk."""

    def __init__(self, *, fixed: bool, speed: float = 1.0, rate: float = 100.0) -> None:
        window = FAILURE_WINDOW / speed
        self.failures: Failures = WindowedFailures(window) if fixed else DecayingFailures(window)
        self._streams_type = OwnedStreams if fixed else MarketStreams
        self._exchange = Exchange()
        self._speed = speed
        self._rate = rate

    async def start(self) -> None:
        """Opens the exchange's streams, then accepts orders, then starts the desk."""
        await self._exchange.start()
        self.gateway = Gateway(self._exchange.address)
        await self.gateway.connect()
        self.streams = self._streams_type(self._exchange.address, SYMBOLS)
        self.streams.open_streams()
        await self.failures.start()
        self.executor = OrderExecutor(self.gateway, self.failures)
        self.server = OrderServer(self.executor)
        await self.server.start()
        self._desk = Desk(self.server.address, SYMBOLS, failing=self._rate, session=30 / self._speed)
        self._desk.start()
        self._reporter = asyncio.create_task(self._report(), name="report")
        log.info("listening on %s:%d", *self.server.address)

    async def stop(self) -> None:
        """Stops accepting orders and closes the exchange session."""
        self._reporter.cancel()
        await asyncio.gather(self._reporter, return_exceptions=True)
        await self._desk.stop()
        await self.server.stop()
        await self.failures.stop()
        await self.streams.stop()
        await self.gateway.close()
        await self._exchange.stop()

    async def _report(self) -> None:
        loop = asyncio.get_running_loop()
        then, before = loop.time(), self.failures.total
        while True:
            await asyncio.sleep(REPORT_EVERY)
            now, total = loop.time(), self.failures.total
            log.info("orders failed: %.1f/s", (total - before) / (now - then))
            then, before = now, total
