"""Tells the broker's desk how a run goes on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.demo.backend.broker import BrokerSession
    from taskscope.demo.backend.pace import Pace

log = logging.getLogger("backend.notices")


class Notices:
    """Progress, milestone and completion notices, each acknowledged by the broker."""

    def __init__(self, broker: BrokerSession, pace: Pace) -> None:
        self._broker = broker
        self._pace = pace

    async def progress(self, run: int, step: int) -> None:
        """A step is done."""
        await self.announce(f"progress {run} {step}")

    async def milestone(self, run: int) -> None:
        """Half of the run is done."""
        await self.announce(f"milestone {run}")

    async def completed(self, run: int) -> None:
        """The run is over."""
        await self.announce(f"completed {run}")

    async def announce(self, notice: str) -> None:
        """Sends a notice and goes on."""
        asyncio.create_task(self.deliver(notice))

    async def deliver(self, notice: str) -> None:
        """Sends a notice and waits for its acknowledgement."""
        await self._broker.ask(f"NOTICE {notice}")


class AwaitedNotices(Notices):
    """Waits for the acknowledgement, but not for long."""

    async def announce(self, notice: str) -> None:
        try:
            async with asyncio.timeout(self._pace.answer_within):
                await self.deliver(notice)
        except TimeoutError:
            log.debug("not acknowledged: %s", notice)
