"""Runs one simulated node: varies its load and reports it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_EVERY = 30.0


class ChaosController:
    """One node's controller; ``report`` sends a line to the collector."""

    def __init__(self, node: str, report: Callable[[str], None]) -> None:
        self.node = node
        self.load = 0.5
        self.healthy = True
        self._report = report
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the controller's loop; also how the director restarts it."""
        self._task = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """Ends the loop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> None:
        """Reports at a steady interval, each node with its own offset."""
        await asyncio.sleep(random.uniform(0, REPORT_EVERY))  # noqa: S311
        while True:
            self.load = min(1.0, max(0.0, self.load + random.uniform(-0.1, 0.1)))  # noqa: S311
            self._report(f"{self.node} {self.load:.2f} {'up' if self.healthy else 'down'}")
            await asyncio.sleep(REPORT_EVERY)


class GuardedController(ChaosController):
    """A second start does nothing while the loop runs."""

    def __init__(self, node: str, report: Callable[[str], None]) -> None:
        super().__init__(node, report)
        self._running = False

    def start(self) -> None:
        if self._running:
            return
        self._running = True
        super().start()

    async def stop(self) -> None:
        await super().stop()
        self._running = False
