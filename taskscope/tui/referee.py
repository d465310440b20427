"""Judges in the background what the samples say, and asks the target for the facts that this takes.

The judge is the same that `watch` uses.  It runs beside the picture and never holds it up: samples that
come while the target still answers are merged, the verdicts are worked out in a thread, and however long
that takes it stays a small share of the time.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from taskscope.sources.base import SourceError, TargetGone
from taskscope.sources.judging import Judging
from taskscope.sources.live import merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Finding, Hello, Sample
    from taskscope.sources.base import Source
    from taskscope.tui.context import Context

EVERY = 2.0
"""Seconds between two verdicts, at the least."""

FRUGAL = 150.0
"""A verdict follows no sooner than this many times the CPU time of the one before, 0.7 % of a core: samples
that are merged meanwhile cost less to take in, too.
"""


class Referee:
    """Keeps the store's findings up to date."""

    def __init__(self, context: Context, changed: Callable[[], None]) -> None:
        self._context = context
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._waiting: Sample | None = None
        self._came = asyncio.Event()

    def begin(self, source: Source, hello: Hello) -> None:
        """Judges this source from now on."""
        self.end()
        self._waiting = None
        self._task = asyncio.ensure_future(self._run(Judging(source, hello)))

    def take(self, sample: Sample) -> None:
        """The next sample; costs nothing here."""
        self._waiting = sample if self._waiting is None else merged(self._waiting, sample)
        self._came.set()

    def end(self) -> None:
        """Judges no more; the last verdicts stay."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, judging: Judging) -> None:
        try:
            await self._judge(judging)
        except TargetGone:
            return  # the connection says so
        except Exception as bug:  # noqa: BLE001 (whatever fails here, the picture goes on without verdicts)
            self._context.error(f"No more findings: the judge failed ({type(bug).__name__}: {bug})")

    async def _judge(self, judging: Judging) -> None:
        store = self._context.store
        while True:
            await self._came.wait()
            self._came.clear()
            sample, self._waiting = self._waiting, None
            if sample is None:
                continue
            try:
                await judging.feed(sample)
            except TargetGone:
                raise
            except SourceError:
                pass  # judged by what is known; the views say what is wrong
            findings, cost = await asyncio.to_thread(_timed, judging)
            if not store.paused:
                store.findings.take(findings)
                store.version += 1
                self._changed()
            await asyncio.sleep(max(EVERY, FRUGAL * cost))


def _timed(judging: Judging) -> tuple[tuple[Finding, ...], float]:
    """The verdicts, and the seconds of CPU time they took."""
    begun = time.thread_time()
    return judging.findings(), time.thread_time() - begun
