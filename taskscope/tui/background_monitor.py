"""Runs `watch`'s monitor in the background of the app, without blocking the screen.

Samples that arrive while the monitor waits for the target are merged.  Verdicts are computed in a thread,
with a pause after each that keeps their share of a core small.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from taskscope.sources.base import SourceError, TargetGone
from taskscope.sources.live import merged
from taskscope.sources.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding, Hello, Sample
    from taskscope.sources.base import Source
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
        self._waiting: Sample | None = None
        self._came = asyncio.Event()

    def begin(self, source: Source, hello: Hello) -> None:
        """Starts monitoring ``source``."""
        self.end()
        self._waiting = None
        self._task = asyncio.ensure_future(self._run(Monitor(source, hello)))

    def take(self, sample: Sample) -> None:
        """Queues the next sample."""
        self._waiting = sample if self._waiting is None else merged(self._waiting, sample)
        self._came.set()

    def end(self) -> None:
        """Stops monitoring; the last verdicts stay."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, monitor: Monitor) -> None:
        try:
            await self._judge(monitor)
        except TargetGone:
            return  # the connection reports it
        except Exception as bug:  # noqa: BLE001 (whatever fails here, the screen goes on without verdicts)
            self._context.error(f"No more findings: TaskScope's judge failed ({type(bug).__name__}: {bug})")

    async def _judge(self, monitor: Monitor) -> None:
        store = self._context.store
        while True:
            await self._came.wait()
            self._came.clear()
            sample, self._waiting = self._waiting, None
            if sample is None:
                continue
            try:
                await monitor.feed(sample)
            except TargetGone:
                raise
            except SourceError:
                pass  # judge by what is known; the views report the error
            findings, cost = await asyncio.to_thread(_timed, monitor)
            if not store.paused:
                store.findings.take(findings)
                store.version += 1
                self._changed()
            await asyncio.sleep(max(EVERY, FRUGAL * cost))


def _timed(monitor: Monitor) -> tuple[tuple[Finding, ...], float]:
    """Returns the verdicts and the CPU time they took, in seconds."""
    begun = time.thread_time()
    return monitor.findings(), time.thread_time() - begun
