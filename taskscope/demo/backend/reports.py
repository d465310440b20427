"""Writes a report for each run, with a pool of workers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = 4


class Reports:
    """Writes results to files in ``directory``; keeps the last hundred."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._queue: asyncio.Queue[tuple[int, list[str]]] = asyncio.Queue()

    def start(self) -> None:
        """Starts the pool."""
        self._workers = [asyncio.create_task(self.work(), name=f"reports {n}") for n in range(WORKERS)]

    async def stop(self) -> None:
        """Stops the pool; unwritten reports are dropped."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def file(self, run: int, scores: list[str]) -> None:
        """Queues a report."""
        self._queue.put_nowait((run, scores))

    async def work(self) -> None:
        """Writes queued reports."""
        while True:
            run, scores = await self._queue.get()
            path = self._directory / f"report-{run % 100}.json"
            await asyncio.to_thread(path.write_text, json.dumps({"run": run, "scores": scores}))
