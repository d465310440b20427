"""Executes orders and counts recent failures."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.demo.orders.gateway import Gateway
    from taskscope.demo.orders.order import Order

PLACE_TIMEOUT = 5.0
PAUSE_AFTER = 1_000_000
"""Recent failures after which orders are refused without asking the exchange."""


class Failures:
    """Orders that failed recently (``recent``) and since the start (``total``)."""

    def __init__(self, window: float) -> None:
        self.window = window
        self.recent = 0
        self.total = 0

    async def start(self) -> None:
        """Called once before the first order."""

    async def stop(self) -> None:
        """Called once after the last order."""

    def record_failure(self) -> None:
        """Counts a failed order."""
        raise NotImplementedError


class DecayingFailures(Failures):
    """Counts each failure up, and down again once it is no longer recent."""

    def record_failure(self) -> None:
        self.total += 1
        self.recent += 1
        asyncio.create_task(self.decay_after(self.window))

    async def decay_after(self, seconds: float) -> None:
        """Counts one failure down after a delay."""
        await asyncio.sleep(seconds)
        self.recent -= 1


class WindowedFailures(Failures):
    """Keeps the times of failures; one ticker drops old ones."""

    def __init__(self, window: float) -> None:
        super().__init__(window)
        self._times: deque[float] = deque()

    async def start(self) -> None:
        self._ticker = asyncio.create_task(self.drop_old(), name="failure ticker")

    async def stop(self) -> None:
        self._ticker.cancel()
        await asyncio.gather(self._ticker, return_exceptions=True)

    def record_failure(self) -> None:
        self.total += 1
        self._times.append(time.monotonic())
        self.recent = len(self._times)

    async def drop_old(self) -> None:
        """Once a second, forgets what is older than the window."""
        while True:
            await asyncio.sleep(1.0)
            oldest = time.monotonic() - self.window
            while self._times and self._times[0] < oldest:
                self._times.popleft()
            self.recent = len(self._times)


class OrderExecutor:
    """Places orders at the exchange, unless too many failed recently."""

    def __init__(self, gateway: Gateway, failures: Failures) -> None:
        self._gateway = gateway
        self._failures = failures

    async def execute(self, order: Order) -> str:
        """Places one order and returns the answer for the client."""
        if self._failures.recent >= PAUSE_AFTER:
            return "PAUSED"
        try:
            async with asyncio.timeout(PLACE_TIMEOUT):
                reply = await self._gateway.place(order)
        except (TimeoutError, ConnectionError):
            reply = "REJECTED unavailable"
        if reply.startswith("REJECTED"):
            self._failures.record_failure()
        return reply
