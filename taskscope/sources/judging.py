"""Brings a judge what it asks for: the one place where the analysis meets a live source.

The app, ``watch``, the demo's report and the test helpers all judge through this, so they say the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.analysis.findings import Judge
from taskscope.analysis.hindrances import CROWDED
from taskscope.analysis.retrospect import judge_of
from taskscope.sources.base import NotAvailable

if TYPE_CHECKING:
    from taskscope.model import Finding, Hello, Sample
    from taskscope.sources.base import Source

PAST_SITES = 200
"""Sites whose past is fetched on arrival, those with the most live tasks first."""

NOTE_EVERY = 10.0
"""Seconds between looks at stalls and pools."""

NOTE_AGAIN = 2.0
"""Seconds from the first look to the second: an agent that has just arrived knows more by then."""

PAST_SECONDS = 48 * 3600.0

PAGE = 4
"""Sites whose past is asked for at a time: 115 kB at most, which are decoded in 2 ms."""


class Judging:
    """A judge on one source."""

    def __init__(self, source: Source, hello: Hello) -> None:
        self.judge = Judge(hello)
        self._source = source
        self._begun = False
        self._next_note = 0.0
        self._noted = False

    async def feed(self, sample: Sample) -> None:
        """Takes the next sample and brings the facts that the judge then wants.

        Raises SourceError as the source does; a source that knows no facts is judged by counts alone.
        """
        if not self._begun:
            self._begun = True
            await self._past(sample)
        if sample.full:  # of 5,000 sites, 120 ms
            await asyncio.to_thread(self.judge.feed, sample)
        else:
            self.judge.feed(sample)
        with contextlib.suppress(NotAvailable):
            for question in self.judge.questions():
                self.judge.facts(await self._source.facts(*question))
        if sample.monotonic >= self._next_note:
            self._next_note = sample.monotonic + (NOTE_EVERY if self._noted else NOTE_AGAIN)
            self._noted = True
            with contextlib.suppress(NotAvailable):
                await self._note(slow=(sample.loop_latency or 0.0) >= CROWDED)

    async def _note(self, *, slow: bool) -> None:
        """``slow``: only then the loops are asked about, which costs the target a walk over its tasks."""
        stalls, threads = await self._source.stalls(), await self._source.threads()
        self.judge.note(stalls, threads, await self._source.loops() if slow else ())

    def findings(self) -> tuple[Finding, ...]:
        """Worst first; of a saved state those that were saved with it."""
        return self.judge.findings() if self._source.live else getattr(self._source, "findings", ())

    async def _past(self, sample: Sample) -> None:
        crowded = sorted(
            (each for each in sample.sites if each.counts.live > 1), key=lambda each: -each.counts.live
        )
        sites = [each.site for each in crowded[:PAST_SITES]]
        with contextlib.suppress(NotAvailable):
            history = await self._source.history(PAST_SECONDS)
            await asyncio.to_thread(self.judge.past, (), history)
            for page in range(0, len(sites), PAGE):
                for past in await self._source.site_history(sites[page : page + PAGE], PAST_SECONDS):
                    self.judge.past((past,), None, sample)
                    await asyncio.sleep(0)  # up to 1,100 points each, 2 ms


async def add_findings(source: Source, snapshot: dict[str, Any]) -> None:
    """Fills the findings of a fresh snapshot of ``source``.  Raises SourceError as the source does."""
    try:
        judge = judge_of(snapshot)
    except (KeyError, wire.WireError):
        return  # an agent of another version, which leaves out what is needed
    with contextlib.suppress(NotAvailable):
        for question in judge.questions():
            judge.facts(await source.facts(*question))
    snapshot["findings"] = wire.pack(judge.findings())
