"""Removes the files that a run leaves behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = 3


class CleanupService:
    """Three workers that delete files; started and stopped with each run."""

    def __init__(self) -> None:
        self._paths: asyncio.Queue[Path | None] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._closing = False

    def start(self) -> None:
        """Starts the workers."""
        for _ in range(WORKERS):
            self._workers.append(asyncio.create_task(self.work()))

    async def stop(self) -> None:
        """Tells the workers to stop."""
        self._closing = True

    def remove(self, path: Path) -> None:
        """Queues a file for removal."""
        self._paths.put_nowait(path)

    async def work(self) -> None:
        """Removes queued files until told to stop."""
        while not self._closing:
            path = await self._paths.get()
            if path is not None:
                await asyncio.to_thread(path.unlink, missing_ok=True)


class WaitingCleanup(CleanupService):
    """Wakes its workers when it stops, and waits for them."""

    async def stop(self) -> None:
        await super().stop()
        for _ in self._workers:
            self._paths.put_nowait(None)
        await asyncio.gather(*self._workers)
