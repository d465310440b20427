"""Runs the monitor that `watch` uses beside the screen, without ever holding the screen up.

Samples that arrive while the target still answers are merged; verdicts are computed in a thread, and take
a small share of the time however long one takes.
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
"""Least seconds between two verdicts."""

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
        """Monitors this source from now on."""
        self.end()
        self._waiting = None
        self._task = asyncio.ensure_future(self._run(Monitor(source, hello)))

    def take(self, sample: Sample) -> None:
        """The next sample; it is only stored here."""
        self._waiting = sample if self._waiting is None else merged(self._waiting, sample)
        self._came.set()

    def end(self) -> None:
        """Stops; the last verdicts stay."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, monitor: Monitor) -> None:
        try:
            await self._judge(monitor)
        except TargetGone:
            return  # the connection says so
        except Exception as bug:  # noqa: BLE001 (whatever fails here, the screen goes on without verdicts)
            self._context.error(f"No more findings: the judge failed ({type(bug).__name__}: {bug})")

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
                pass  # judged by what is known; the views say what is wrong
            findings, cost = await asyncio.to_thread(_timed, monitor)
            if not store.paused:
                store.findings.take(findings)
                store.version += 1
                self._changed()
            await asyncio.sleep(max(EVERY, FRUGAL * cost))


def _timed(monitor: Monitor) -> tuple[tuple[Finding, ...], float]:
    """The verdicts, and their CPU time in seconds."""
    begun = time.thread_time()
    return monitor.findings(), time.thread_time() - begun
