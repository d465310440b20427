"""Scores the signals of a step concurrently."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskscope.demo.backend.pace import Pace

DELAYS = (0.1, 0.3, 1.5, 1.6, 1.7)
"""How long each signal's history takes to come, in parts of the time we give them all."""


class SignalProcessor:
    """Starts a worker per signal and collects results until a deadline."""

    def __init__(self, pace: Pace) -> None:
        self._within = pace.collect_within
        self.results: asyncio.Queue[str] = asyncio.Queue(maxsize=1)

    async def process(self) -> list[str]:
        """Returns the scores that were ready in time."""
        for delay in DELAYS:
            asyncio.create_task(self.score(delay))
        return await self.collect()

    async def collect(self) -> list[str]:
        """Collects results until all are in or time is up."""
        scores: list[str] = []
        try:
            async with asyncio.timeout(self._within):
                while len(scores) < len(DELAYS):
                    scores.append(await self.results.get())
        except TimeoutError:
            pass
        return scores

    async def score(self, delay: float) -> None:
        """Waits for a signal's history, scores it and delivers the score."""
        await asyncio.sleep(delay * self._within)
        score = await asyncio.to_thread(_score, delay)
        await self.results.put(score)


class CancellingProcessor(SignalProcessor):
    """Cancels the remaining workers after the deadline."""

    async def process(self) -> list[str]:
        workers = [asyncio.create_task(self.score(delay)) for delay in DELAYS]
        try:
            return await self.collect()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)


def _score(delay: float) -> str:
    return hashlib.pbkdf2_hmac("sha256", b"signal", str(delay).encode(), 500).hex()
