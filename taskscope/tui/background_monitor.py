"""Judges in the background of the app, without blocking the screen.

A pause after each round of verdicts keeps their share of a core small.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from taskscope.sources.base import SourceError, TargetGone

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.sources.pump import Pump
    from taskscope.tui.context import Context

EVERY = 2.0
"""Shortest time between two verdicts, in seconds."""

FRUGAL = 150.0
"""Pause after a verdict, as a multiple of the CPU time it took: 0.7 % of a core."""


class BackgroundMonitor:
    """Keeps the store's findings up to date."""

    def __init__(self, context: Context, changed: Callable[[], None]) -> None:
        self._context = context
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def begin(self, pump: Pump) -> None:
        """Starts judging what this pump brings."""
        self.end()
        self._task = asyncio.ensure_future(self._run(pump))

    def end(self) -> None:
        """Stops monitoring; the last verdicts stay."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, pump: Pump) -> None:
        try:
            await self._judge(pump)
        except TargetGone:
            return  # the connection reports it
        except SourceError as problem:
            self._context.error(f"No more findings: {problem}.")
        except Exception as bug:  # noqa: BLE001 (whatever fails here, the screen goes on without verdicts)
            self._context.error(f"No more findings: TaskScope's judge failed ({type(bug).__name__}: {bug})")

    async def _judge(self, pump: Pump) -> None:
        store = self._context.store
        while True:
            await pump.came()
            findings = await pump.judged()
            if not store.paused:
                store.findings.take(findings, pump.progress)
                store.reconstruct(pump.judge.pasts())
                self._changed()
            await asyncio.sleep(max(EVERY, FRUGAL * pump.cost))
