"""Keeps the broker's desk informed about a run."""

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
        """Announces a finished step."""
        await self.announce(f"progress {run} {step}")

    async def milestone(self, run: int) -> None:
        """Announces that half of the run is done."""
        await self.announce(f"milestone {run}")

    async def completed(self, run: int) -> None:
        """Announces the end of the run."""
        await self.announce(f"completed {run}")

    async def announce(self, notice: str) -> None:
        """Sends a notice without waiting."""
        asyncio.create_task(self.deliver(notice))

    async def deliver(self, notice: str) -> None:
        """Sends a notice and waits for its acknowledgement."""
        await self._broker.ask(f"NOTICE {notice}")


class AwaitedNotices(Notices):
    """Waits for each acknowledgement, with a timeout."""

    async def announce(self, notice: str) -> None:
        try:
            async with asyncio.timeout(self._pace.answer_within):
                await self.deliver(notice)
        except TimeoutError:
            log.debug("not acknowledged: %s", notice)
