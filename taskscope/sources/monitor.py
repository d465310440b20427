"""Feeds a judge from a source and fetches what it asks for: the one place where analysis does I/O.

The app, ``watch``, the demo's report and the test helpers all judge through this, so they say the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.analysis.judge import Judge
from taskscope.analysis.patterns.overload import CROWDED
from taskscope.analysis.retrospect import whole_sample
from taskscope.checked import unpack
from taskscope.model import SiteHistory, requests
from taskscope.model.series import LONGEST
from taskscope.sources.archive import Archive
from taskscope.sources.base import NotAvailable
from taskscope.sources.saved import SavedSource

if TYPE_CHECKING:
    from taskscope.model import Finding, Hello, Loop, Sample, SiteFacts, Thread
    from taskscope.sources.base import Source

PAST_SITES = 200
"""Sites whose history is fetched on arrival, most live tasks first."""

NOTE_EVERY = 10.0
"""Seconds between fetches of threads and slow loops, which cost the target more than the list of stalls."""

ARRIVING = 3
"""Rounds of questions on arrival, so that the first verdict is as good as any later one."""

KNOWN_LOOKS = 16
"""Sites whose earlier facts, asked by other clients, are fetched on arrival; an agent keeps no more."""

PAGE = 4
"""Sites whose history one request fetches: 115 kB at most, decoded in 2 ms."""


class Monitor:
    """Watches one source: a judge, fed with its samples and facts."""

    def __init__(self, source: Source, hello: Hello) -> None:
        self.judge = Judge(hello)
        self._source = source
        self._begun = False
        self._next_note = 0.0
        self._threads: tuple[Thread, ...] = ()
        self._loops: tuple[Loop, ...] = ()

    async def feed(self, sample: Sample) -> None:
        """Takes the next sample and brings the facts that the judge then wants.

        Raises SourceError as the source does; a source that knows no facts is judged by counts alone.
        """
        begun, self._begun = self._begun, True
        if not begun:
            await self._past(sample)
        if sample.full:  # of 5,000 sites, 120 ms
            await asyncio.to_thread(self.judge.feed, sample)
        else:
            self.judge.feed(sample)
        if begun:
            await self._ask()
        else:
            await self._arrive()
        with contextlib.suppress(NotAvailable):
            await self._note(sample)

    async def _ask(self) -> bool:
        """Brings what the judge wants to know now; whether that was anything."""
        questions = self.judge.questions()
        with contextlib.suppress(NotAvailable):
            for question in questions:
                self.judge.facts(await self._source.ask(question))
        return bool(questions)

    async def _arrive(self) -> None:
        """What it asks about depends on what it finds; others may have asked before."""
        await asyncio.to_thread(self.judge.findings)
        with contextlib.suppress(NotAvailable):
            suspected = self.judge.suspected()[:KNOWN_LOOKS]
            self.judge.looks(await self._source.ask(requests.Looks(suspected)) if suspected else ())
        for _ in range(ARRIVING):
            if not await self._ask():
                break

    async def _note(self, sample: Sample) -> None:
        stalls = await self._source.ask(requests.Stalls())
        if sample.monotonic >= self._next_note:
            self._next_note = sample.monotonic + NOTE_EVERY
            self._threads = await self._source.ask(requests.Threads())
            slow = (sample.loop_latency or 0.0) >= CROWDED
            self._loops = await self._source.ask(requests.Loops()) if slow else ()  # a walk over all tasks
        self.judge.note(stalls, self._threads, self._loops)

    def findings(self) -> tuple[Finding, ...]:
        """Worst first; of a saved state those that were saved with it."""
        return self.judge.findings() if self._source.live else getattr(self._source, "findings", ())

    async def _past(self, sample: Sample) -> None:
        crowded = sorted(
            (each for each in sample.sites if each.counts.live > 1), key=lambda each: -each.counts.live
        )
        sites = [each.site for each in crowded[:PAST_SITES]]
        with contextlib.suppress(NotAvailable):
            history = await self._source.ask(requests.History(LONGEST))
            await asyncio.to_thread(self.judge.past, (), history)
            for page in range(0, len(sites), PAGE):
                for past in await self._source.ask(
                    requests.SiteHistory(tuple(sites[page : page + PAGE]), LONGEST)
                ):
                    self.judge.past((past,), None, sample)
                    await asyncio.sleep(0)  # up to 1,100 points each, 2 ms


async def add_findings(source: Source, snapshot: dict[str, Any]) -> None:
    """Fills the findings of a fresh snapshot of ``source``.  Raises SourceError as the source does."""
    try:
        hello, sample = whole_sample(snapshot)
    except (KeyError, wire.WireError):
        return  # an agent of another version, which leaves out what is needed
    monitor = Monitor(_Taken(snapshot, source), hello)
    await monitor.feed(sample)
    snapshot["findings"] = wire.pack(monitor.findings())


class _Taken(SavedSource):
    """What was taken just now, of a target that still answers what a snapshot does not hold."""

    live = True

    def __init__(self, snapshot: dict[str, Any], target: Source) -> None:
        super().__init__("")
        self._opened = Archive(snapshot)
        self._target = target

    async def site_history(self, query: requests.SiteHistory) -> tuple[SiteHistory, ...]:
        packed = (each for each in self._archive.raw["site_history"] if each["site"] in query.sites)
        return tuple(unpack(SiteHistory, each) for each in packed)

    async def facts(self, query: requests.Facts) -> SiteFacts:
        return await self._target.ask(query)

    async def looks(self, query: requests.Looks) -> tuple[SiteFacts, ...]:
        return await self._target.ask(query)
