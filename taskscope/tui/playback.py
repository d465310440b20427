"""Plays a recording into the store: forwards at any speed, and to any moment.

Independent of Textual: it runs as the connection's task, and calls back when something changes.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.model import requests
from taskscope.model.series import LONGEST
from taskscope.sources.base import NotAvailable
from taskscope.sources.pump import PAST_SITES
from taskscope.tui.context import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.model import Hello, Sample
    from taskscope.sources.recorded import RecordedSource
    from taskscope.tui.context import Context

SPEEDS = (1, 2, 5, 10, 30, 60, 300)
"""Recorded seconds per second."""

TICK = 0.25
"""Seconds between two moments shown while it plays."""

STEP, LEAP = 10.0, 300.0
"""Recorded seconds that a key moves by."""


class Playback:
    """The moment of ``source`` that the app shows."""

    def __init__(self, context: Context, source: RecordedSource, changed: Callable[[], None]) -> None:
        self.source = source
        self.playing = False
        self.speed = SPEEDS[0]
        self._context = context
        self._changed = changed
        self._target: float | None = None
        self._searching = False
        self._wanted = asyncio.Event()

    @property
    def position(self) -> float:
        """The moment shown, or on its way, in seconds since the epoch."""
        return self.source.position if self._target is None else self._target

    # -- what keys and the slider ask for

    def go(self, moment: float) -> None:
        """Shows another moment."""
        self._target = min(max(moment, self.source.begin), self.source.end)
        self._wake()

    def step(self, seconds: float) -> None:
        self.go(self.position + seconds)

    def toggle(self) -> None:
        """Plays on, or stops; at the end it starts again."""
        self.playing = not self.playing
        if self.playing and self.position >= self.source.end:
            self.go(self.source.begin)
        self._wake()

    def faster(self, by: int) -> None:
        at = min(max(SPEEDS.index(self.speed) + by, 0), len(SPEEDS) - 1)
        self.speed = SPEEDS[at]
        self._context.status(f"Plays {fmt.plural(self.speed, 'second')} per second.")
        self._wake()

    def next_finding(self) -> None:
        """Shows the moment at which the next finding begins."""
        self._searching = True
        self._context.status("Looking for the next finding …")
        self._wake()

    def _wake(self) -> None:
        self._wanted.set()
        self._changed()

    # -- the task that carries it out

    async def run(self, hello: Hello) -> None:
        """Shows the moment wanted, until cancelled.  Raises SourceError."""
        self._context.store.begin(hello)
        self._context.state = State.SAVED
        while True:
            await self._show()
            await self._move()

    async def _move(self) -> None:
        """Moves on by the clock while it plays, else once something is asked for."""
        begun = time.monotonic()
        if self.playing:
            await self._pause(TICK)
        else:
            await self._wanted.wait()
        self._wanted.clear()
        if self._searching:
            self._searching = False
            await self._search()
        elif self._target is not None:
            target = self._target
            await self.source.seek(target)
            if self._target == target:
                self._target = None
        elif self.playing:
            await self.source.advance((time.monotonic() - begun) * self.speed)
            self.playing = self.source.position < self.source.end

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wanted.wait()
        except TimeoutError:
            pass

    async def _search(self) -> None:
        self.playing = False
        if await self.source.next_finding():
            self._context.status(f"A finding begins at {clock(self.source.position)}.")
        else:
            self._context.status("No other finding begins after this moment.")

    async def _show(self) -> None:
        """Brings the store to the moment shown."""
        store, source = self._context.store, self.source
        async for sample in source.samples():
            if sample.full:
                store.jump(source.hello)
            store.apply(sample)
            store.findings.take(source.findings, source.judged)
            if sample.full:
                await self._recall(sample)
        store.findings.take(source.findings, source.judged)
        store.version += 1
        self._changed()

    async def _recall(self, sample: Sample) -> None:
        """Fills the charts up to the moment."""
        store = self._context.store
        biggest = sorted(sample.sites, key=lambda each: -each.counts.live)[:PAST_SITES]
        try:
            store.recall(await self.source.ask(requests.History(LONGEST)))
            sites = tuple(each.site for each in biggest)
            store.recall(await self.source.ask(requests.SiteHistory(sites, LONGEST)))
        except NotAvailable:
            return


def clock(moment: float) -> str:
    """The time of day, here."""
    return time.strftime("%H:%M:%S", time.localtime(moment))
