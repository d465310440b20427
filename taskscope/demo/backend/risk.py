"""Halts accounts when the broker reports a risk."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.demo.backend.broker import BrokerSession
    from taskscope.demo.backend.pace import Pace

log = logging.getLogger("backend.risk")


class RiskMonitor:
    """Reads risk events from the broker's feed and halts the accounts they name, one at a time."""

    def __init__(self, broker: BrokerSession, pace: Pace) -> None:
        self._broker = broker
        self._pace = pace
        self._one_at_a_time = asyncio.Lock()

    async def start(self, feed: tuple[str, int]) -> None:
        """Subscribes.  Raises OSError if the feed is unreachable."""
        self._reader, self._writer = await asyncio.open_connection(*feed)
        self._writer.write(b"RISK\n")
        self._watching = asyncio.create_task(self.watch(), name="risk watch")

    async def stop(self) -> None:
        """Ends the subscription."""
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        self._writer.close()

    async def watch(self) -> None:
        """Handles each event of the feed."""
        while line := await self._reader.readline():
            await self.on_event(line.decode().strip())

    async def on_event(self, account: str) -> None:
        """Starts halting an account; does not wait."""
        asyncio.create_task(self.halt(account))

    async def halt(self, account: str) -> None:
        """Halts one account and waits for the confirmation."""
        async with self._one_at_a_time:
            await self._broker.ask(f"HALT {account}")


class BoundedRiskMonitor(RiskMonitor):
    """Halts accounts one after another, each with a timeout."""

    async def on_event(self, account: str) -> None:
        try:
            async with asyncio.timeout(self._pace.answer_within):
                await self.halt(account)
        except TimeoutError:
            log.debug("no confirmation for %s", account)
