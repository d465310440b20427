"""From a source to its watchers: samples, history, and the judge's verdicts on both.

The app, ``watch`` and ``snapshot`` all watch through a `Pump`, so they agree.  Nowhere else does analysis
cause I/O; ``taskscope.snapshot`` asks the same inside the process (``testing/within.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Protocol, cast

from taskscope import wire
from taskscope.analysis.judge import Judge
from taskscope.analysis.patterns.overload import CROWDED
from taskscope.analysis.retrospect import ARRIVING, whole_sample
from taskscope.checked import unpack
from taskscope.export.snapshot import set_verdict
from taskscope.model import History, SiteHistory, requests
from taskscope.model.series import LONGEST
from taskscope.model.state import merge
from taskscope.sources.archive import Archive
from taskscope.sources.base import Judging, NotAvailable, SourceError, SourceMisbehaves, TargetGone
from taskscope.sources.saved import SavedSource
from taskscope.sources.secondhand import Secondhand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from taskscope.model import (
        Finding,
        Hello,
        Judged,
        Loop,
        LoopTurns,
        Mishaps,
        Renewal,
        Sample,
        SiteFacts,
        Stall,
        Thread,
        Timers,
        WaitGraph,
    )
    from taskscope.sources.base import Source, Verdicts

PAST_SITES = 200
"""Sites whose history is fetched on arrival, most live tasks first."""

NOTE_EVERY = 10.0
"""Seconds between fetches of threads and slow loops, which cost the target more than the list of stalls."""

WAITS_SOON = 5.0
"""Seconds between looks at the wait graph while it shows tasks that cannot continue."""

TIMERS_SOON, MANY_TIMERS = 5.0, 20_000
"""Seconds between looks at the timers while some pile up; longer if there are more than so many."""

STOCK_SOON, STOCK_LATE, STOCK_SHARE = 5.0, 20.0, 0.05
"""Seconds between counts of other resources: while some pile up, at most; share of the time that counting may
take, which is mostly pauses."""

UNEVEN = 0.618
"""Looks at equal distances would see what rises and falls as regularly only rise."""

AWAKE = 0.02
"""Share of a core that a process uses from which its loops are looked at: a crowded machine may leave no more
to one that spins."""

LONG, RESTS = 2.0, 2.0
"""Seconds from which a look is long, and how many times as long as it took the next one is put off."""

TURNS_SOON = 5.0
"""Seconds between looks at loops while one seems to spin."""

MAX_WAITING = 60
"""Samples queued for the judge, which gets them merged; beyond this they are merged at once."""

PAGE = 4
"""Sites whose history one request fetches: 115 kB at most, decoded in 2 ms."""


class Picture(Protocol):
    """Receives what comes from a source, as it comes."""

    def apply(self, sample: Sample) -> None:
        """The next sample."""

    def recall(self, past: History | tuple[SiteHistory, ...]) -> None:
        """The past, of the process or of some sites."""


class Pump:
    """Watches one source for a judge and for ``pictures``."""

    def __init__(self, source: Source, hello: Hello, *pictures: Picture, judge: Judge | None = None) -> None:
        """``judge``: who judges it, if not one of our own."""
        if judge is None:
            judge = source.judge(hello) if isinstance(source, Judging) else Judge(hello)
        self.judge = judge
        self.cost = 0.0
        """Seconds of CPU time that the last verdicts took."""
        self._source = source
        self._saved = None if source.live else cast("Verdicts", source)
        self._hello = hello
        self._pictures = pictures
        self._begun = False
        self._waiting: list[Sample] = []
        self._came = asyncio.Event()
        self._next: dict[str, float] = {}
        self._stalls: tuple[Stall, ...] = ()
        self._threads: tuple[Thread, ...] = ()
        self._loops: tuple[Loop, ...] = ()
        self._waits: WaitGraph | None = None
        self._turn = hello.process.pid * UNEVEN % 1.0  # workers of one service are not all counted at once

    async def samples(self, interval: float = 0.0) -> AsyncIterator[Sample]:
        """The source's samples, at least ``interval`` apart, once the pictures have them.

        An agent whose own interval is longer is sped up for as long as we watch.
        """
        faster = self._source.live and 0 < interval < self._hello.interval
        if faster:
            await self._source.ask(requests.SetInterval(interval))
        try:
            async for sample in _apart(interval, self._source.samples()):
                self.take(sample)
                yield sample
        finally:
            if faster:
                with contextlib.suppress(SourceError):
                    await self._source.ask(requests.SetInterval(self._hello.interval))

    def take(self, sample: Sample) -> None:
        """Takes the next sample; the judge gets it at the next `judged`."""
        for picture in self._pictures:
            picture.apply(sample)
        if len(self._waiting) == MAX_WAITING:
            self._waiting = [merge(*self._waiting)]
        self._waiting.append(sample)
        self._came.set()

    async def came(self) -> None:
        """Waits until there is a sample to judge."""
        await self._came.wait()

    async def judged(self) -> tuple[Finding, ...]:
        """The findings on everything so far, worst first; for a saved state, those saved with it.

        Fetches the facts that the judge requests; without them it judges by what it has.  Raises
        TargetGone and SourceMisbehaves.
        """
        self._came.clear()
        waiting, self._waiting = self._waiting, []
        if waiting:
            try:
                await self._feed(merge(*waiting))
            except (TargetGone, SourceMisbehaves):
                raise
            except SourceError:
                pass
        if self._saved is not None:
            return self._saved.findings
        return await asyncio.to_thread(self._findings)

    @property
    def progress(self) -> Judged:
        """How far the judgement has come; for a saved state, that saved with it."""
        return self._saved.judged if self._saved is not None else self.judge.judged

    def _findings(self) -> tuple[Finding, ...]:
        begun = time.thread_time()
        findings = self.judge.findings()
        self.cost = time.thread_time() - begun
        return findings

    async def recall(self, sample: Sample, seconds: float) -> None:
        """Fetches the history again for pictures that missed part of it."""
        with contextlib.suppress(SourceError):
            async for past in self._past(sample, seconds):
                self._tell(past)

    def _tell(self, past: History | tuple[SiteHistory, ...]) -> None:
        for picture in self._pictures:
            picture.recall(past)

    async def _feed(self, sample: Sample) -> None:
        begun, self._begun = self._begun, True
        if not begun:
            with contextlib.suppress(NotAvailable):
                await self._remember(sample)
        if sample.full:  # 120 ms for 5,000 sites
            await asyncio.to_thread(self.judge.feed, sample)
        else:
            self.judge.feed(sample)
        if begun and sample.full and isinstance(self._source, Judging):  # its past is another one now
            await self._remember(sample)
        if isinstance(self.judge, Secondhand):
            return  # whoever judges asks
        if begun:
            await self._ask()
        else:
            await self._arrive()
        with contextlib.suppress(NotAvailable):
            await self._note(sample)

    async def _remember(self, sample: Sample) -> None:
        async for past in self._past(sample, LONGEST):
            self._tell(past)
            if isinstance(past, History):
                await asyncio.to_thread(self.judge.past, (), past)
                continue
            for each in past:
                self.judge.past((each,), None, sample)
                await asyncio.sleep(0)  # up to 1,100 points each, 2 ms

    async def _past(self, sample: Sample, seconds: float) -> AsyncIterator[History | tuple[SiteHistory, ...]]:
        """The history of the process and of its biggest sites; the others' begins now."""
        yield await self._source.ask(requests.History(seconds))
        biggest = sorted(sample.sites, key=lambda each: -each.counts.live)[:PAST_SITES]
        sites = tuple(each.site for each in biggest)
        for page in range(0, len(sites), PAGE):
            yield await self._source.ask(requests.SiteHistory(sites[page : page + PAGE], seconds))

    async def _ask(self) -> bool:
        """Fetches what the judge requests now; returns whether it requested anything."""
        questions = self.judge.questions()
        with contextlib.suppress(NotAvailable):
            for question in questions:
                self.judge.facts(await self._source.ask(question))
        return bool(questions)

    async def _arrive(self) -> None:
        """First verdicts.  The judge's questions follow from its findings; others may have asked them."""
        await asyncio.to_thread(self.judge.findings)
        with contextlib.suppress(NotAvailable):
            suspected = self.judge.suspected()[: requests.MAX_LOOKS]
            self.judge.looks(await self._source.ask(requests.Looks(suspected)) if suspected else ())
        for _ in range(ARRIVING):
            if not await self._ask():
                break

    async def _note(self, sample: Sample) -> None:
        """Asks what it is time for.  Counts come first: they show growth, and are soon made.

        While older tasks are being registered, walks would delay that, and see only some of them.
        """
        self._stalls = await self._source.ask(requests.Stalls())
        try:
            if sample.arriving:
                return
            await self._look(sample, self._look_at_timers)
            await self._look(sample, self._look_at_stock)
            await self._look(sample, self._look_at_threads)
            await self._look(sample, self._look_at_waits)
            await self._look(sample, self._look_at_turns)
            with contextlib.suppress(NotAvailable):
                for site in self.judge.churn.wanted(sample.monotonic):
                    self.judge.churn.add(await self._source.ask(requests.Renewal(site)))
        finally:
            self.judge.note(self._stalls, self._threads, self._loops, self._waits)

    async def _look(self, sample: Sample, how: Callable[[Sample], Awaitable[float]]) -> None:
        """Looks if it is time, and settles when again: ``how`` says how many seconds later at the earliest.

        In a slow target the looks that take long make room for the others.
        """
        name, begun, every = how.__name__, time.monotonic(), 0.0
        if sample.monotonic < self._next.get(name, 0.0):
            return
        try:
            with contextlib.suppress(NotAvailable):
                every = await how(sample)
        finally:
            took = time.monotonic() - begun
            if took > LONG:
                every = took + max(every, RESTS * took)
            self._next[name] = sample.monotonic + every

    async def _look_at_threads(self, sample: Sample) -> float:
        self._threads = await self._source.ask(requests.Threads())
        slow = (sample.loop_latency or 0.0) >= CROWDED
        self._loops = await self._source.ask(requests.Loops()) if slow else ()  # a walk over all tasks
        return NOTE_EVERY

    async def _look_at_waits(self, _: Sample) -> float:
        """Returns the seconds until the next look: fewer while some cannot continue."""
        self._waits = await self._source.ask(requests.Waits())
        with contextlib.suppress(NotAvailable):
            self.judge.note_mishaps(await self._source.ask(requests.Mishaps()))
        return WAITS_SOON if self._waits.nodes else NOTE_EVERY

    async def _look_at_turns(self, sample: Sample) -> float:
        """Returns the seconds until the next look: fewer while a loop seems to spin."""
        if sample.cpu is None:
            return 0.0  # it takes two samples to know
        judge = self.judge
        awake = bool(judge.spins.found) or sample.cpu - (sample.agent_cpu or 0.0) >= AWAKE
        turns = await self._source.ask(requests.Turns()) if awake else ()
        judge.spins.note(turns)
        judge.fruitless.note(turns)
        soon = judge.spins.found or judge.fruitless.any
        return TURNS_SOON if soon else NOTE_EVERY * self._uneven()

    async def _look_at_timers(self, _: Sample) -> float:
        """Returns the seconds until the next look: fewer while some pile up, more the more there are."""
        judged = self.judge.timers
        judged.add(timers := await self._source.ask(requests.Timers()))
        if judged.wanted:
            judged.add(await self._source.ask(requests.Timers(judged.wanted)))
        every = TIMERS_SOON if judged.growing else NOTE_EVERY
        return every * max(1.0, sum(each.live for each in timers.groups) / MANY_TIMERS)

    async def _look_at_stock(self, _: Sample) -> float:
        """Returns the seconds until the next look: fewer while some pile up, more the longer it takes."""
        judged, begun = self.judge.stock, time.monotonic()
        kinds = judged.kinds(self.judge.climbs())
        judged.add(await self._source.ask(requests.Resources(kinds, keeps=0)), kinds)
        took = time.monotonic() - begun
        if judged.wanted is not None:
            judged.inspect(await self._source.ask(judged.wanted))
        every = max(STOCK_SOON if judged.growing else NOTE_EVERY, min(took / STOCK_SHARE, STOCK_LATE))
        return every * self._uneven()

    def _uneven(self) -> float:
        """Around 1, never twice the same."""
        self._turn = (self._turn + UNEVEN) % 1.0
        return 0.6 + 0.8 * self._turn


async def _apart(interval: float, samples: AsyncIterator[Sample]) -> AsyncIterator[Sample]:
    waiting: Sample | None = None
    last = float("-inf")
    async for sample in samples:
        waiting = sample if waiting is None else merge(waiting, sample)
        if waiting.monotonic - last >= interval * 0.9:
            last = waiting.monotonic
            yield waiting
            waiting = None


async def add_findings(source: Source, snapshot: dict[str, Any]) -> None:
    """Judges a fresh snapshot of ``source``, in this one look.  Raises as `Pump.judged`."""
    try:
        hello, sample = whole_sample(snapshot)
    except (KeyError, wire.WireError):
        return  # an agent of another version, which leaves out something we need
    pump = Pump(_Taken(snapshot, source), hello)
    pump.take(sample)
    set_verdict(snapshot, await pump.judged(), pump.progress)


class _Taken(SavedSource):
    """A fresh snapshot whose target still answers what the snapshot does not hold."""

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

    async def waits(self, query: requests.Waits) -> WaitGraph:
        return await self._target.ask(query)

    async def mishaps(self, query: requests.Mishaps) -> Mishaps:
        return await self._target.ask(query)

    async def timers(self, query: requests.Timers) -> Timers:
        return await (self._target.ask(query) if query.keeps else super().timers(query))

    async def turns(self, query: requests.Turns) -> tuple[LoopTurns, ...]:
        return await self._target.ask(query)

    async def renewal(self, query: requests.Renewal) -> Renewal:
        return await self._target.ask(query)

    async def looks(self, query: requests.Looks) -> tuple[SiteFacts, ...]:
        return await self._target.ask(query)
