"""Writes the report of each run: a pool of workers from start to stop."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = 4


class Reports:
    """Takes results and writes them into files of ``directory``, the last hundred runs' at most."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._queue: asyncio.Queue[tuple[int, list[str]]] = asyncio.Queue()

    def start(self) -> None:
        """Starts the pool."""
        self._workers = [asyncio.create_task(self.work(), name=f"reports {n}") for n in range(WORKERS)]

    async def stop(self) -> None:
        """Ends the pool; reports not written are dropped."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def file(self, run: int, scores: list[str]) -> None:
        """Has a report written."""
        self._queue.put_nowait((run, scores))

    async def work(self) -> None:
        """Writes report after report."""
        while True:
            run, scores = await self._queue.get()
            path = self._directory / f"report-{run % 100}.json"
            await asyncio.to_thread(path.write_text, json.dumps({"run": run, "scores": scores}))
