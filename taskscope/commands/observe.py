"""Watching a source for a while without the app: what `watch` and `demo` print in the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from taskscope.analysis import growth
from taskscope.model import Counts, SiteCounts, requests
from taskscope.sources.base import AgentGone, Observed, SourceError, TargetGone, TargetSilent
from taskscope.sources.live import merged
from taskscope.sources.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from taskscope.model import Finding, Hello, Sample, Site
    from taskscope.sources.base import Silence, Source

QUIET = 5.0
"""Seconds without a sample that are a result of their own."""

HALTED = ("stopped", "traced")
"""What is said sooner: nothing comes until somebody lets it go on."""

SAID_AGAIN = 30.0
"""Seconds after which a silence that lasts is said again."""

LOOK_EVERY = 0.5

MAX_SILENCES = 100

MAX_POINTS = 600
"""Points kept of one series; beyond, every other one goes."""


@dataclass(slots=True)
class LiveCounts:
    """One live count over time, in bounded memory."""

    times: list[float] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    _every: int = 1
    _skipped: int = 0

    def add(self, time: float, value: int) -> None:
        self._skipped += 1
        if self._skipped < self._every:
            return
        self._skipped = 0
        self.times.append(time)
        self.values.append(value)
        if len(self.times) > MAX_POINTS:
            self.times, self.values = self.times[::2], self.values[::2]
            self._every *= 2

    @property
    def per_minute(self) -> float:
        return growth.slope(self.times, self.values).rate

    def percent_from(self, first: float | None = None) -> float | None:
        """Growth over the run in percent; from ``first`` if given, else from its first tenth."""
        if not self.values:
            return None
        if first is None:
            return growth.percent(self.values)
        tail = self.values[-max(1, len(self.values) // 10) :]
        return (sum(tail) / len(tail) - first) / first * 100 if first else None


@dataclass(slots=True)
class Seen:
    """One site over the time it was watched."""

    site: Site
    first: Counts
    last: Counts
    oldest: float | None
    live: LiveCounts = field(default_factory=LiveCounts)


class Observation:
    """What is known of a target so far: feed it samples, read it at any moment.

    ``findings`` are the verdicts on the sites after the last sample, worst first; ``ended`` says how the
    target ended, if it did, ``lost`` that it goes on and cannot be seen.  ``silences`` are the times in
    which no sample came.
    """

    def __init__(self, source: Source, hello: Hello) -> None:
        self.source = source
        self.hello = hello
        self._monitor = Monitor(source, hello)
        self.findings: tuple[Finding, ...] = ()
        self.first: Sample | None = None
        self.last: Sample | None = None
        self.tasks = LiveCounts()
        self.rss = LiveCounts()
        self.sites: dict[int, Seen] = {}
        self._known: dict[int, Site] = {}
        self.ended = ""
        self.lost = False
        self.watched = 0.0
        """Seconds by our clock, with samples or without."""
        self.silences: list[Silence] = []
        self._silence: Silence | None = None
        self._said = 0.0

    async def feed(self, sample: Sample) -> None:
        """The next sample; the first one holds every site.  Asks the source what the judge wants to know."""
        before = self.last
        self.first = self.first or sample
        self.last = sample
        for site in sample.new_sites:
            self._known[site.id] = site
            if site.id in self.sites:  # its line is known better now
                self.sites[site.id].site = site
        self.tasks.add(sample.monotonic, sample.tasks.live)
        if sample.rss is not None:
            self.rss.add(sample.monotonic, sample.rss)
        for each in sample.sites:
            seen = self.sites.get(each.site)
            if seen is None and each.site in self._known:
                seen = self.sites[each.site] = self._new(each, before)
            if seen is not None:
                seen.last, seen.oldest = each.counts, each.oldest
        for seen in self.sites.values():  # also those that did not change: a flat line is a line
            seen.live.add(sample.monotonic, seen.last.live)
        with contextlib.suppress(TargetSilent):  # judged by what is known
            await self._monitor.feed(sample)
        self.findings = self._monitor.findings()  # each time: a level that has to last is only then seen to

    def hear(self, silence: Silence | None) -> str:
        """Takes note of how long no sample has come; what there is to say about it, or nothing."""
        before = self._silence
        if silence is None or (silence.seconds < QUIET and silence.state not in HALTED):
            if before is None:
                return ""
            self.end_silence()
            return f"samples come again, after {before.seconds:.0f} s"
        self._silence = silence
        if before is not None and before.state == silence.state and silence.seconds < self._said + SAID_AGAIN:
            return ""
        self._said = silence.seconds
        return f"no samples for {silence.seconds:.0f} s: {silence.text}"

    def end_silence(self) -> None:
        """A silence is over, or the watch is."""
        silence, self._silence = self._silence, None
        if silence is not None and silence.seconds >= QUIET and len(self.silences) < MAX_SILENCES:
            self.silences.append(silence)

    def _new(self, counts: SiteCounts, before: Sample | None) -> Seen:
        """A site seen for the first time: if there was a sample before, it has come from nothing."""
        site = self._known[counts.site]
        if before is None:
            return Seen(site, counts.counts, counts.counts, counts.oldest)
        seen = Seen(site, Counts(), counts.counts, counts.oldest)
        seen.live.add(before.monotonic, 0)
        return seen

    def state(self) -> tuple[tuple[Site, ...], Sample] | None:
        """Every site, and the last sample with the counts of all of them; None before the first."""
        if self.last is None:
            return None
        counts = tuple(SiteCounts(id, seen.last, seen.oldest) for id, seen in self.sites.items())
        return tuple(self._known.values()), replace(self.last, full=True, sites=counts)

    @property
    def seconds(self) -> float:
        return self.last.monotonic - self.first.monotonic if self.first and self.last else 0.0


async def observe(
    observation: Observation,
    seconds: float,
    interval: float,
    told: Callable[[Sample], None],
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Feeds samples to ``observation`` (and ``told``) until time is up, Ctrl-C, or the target ends.

    ``say`` gets a sentence when no samples come, and when they come again.
    """
    begun, ctrl_c = time.monotonic(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, ctrl_c.set)
    watching = asyncio.create_task(_feed(observation, seconds, interval, told))
    leaving = asyncio.create_task(ctrl_c.wait())
    listening = asyncio.create_task(_listen(observation, say))
    try:
        await asyncio.wait([watching, leaving], timeout=seconds + 1, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
    except TargetGone as gone:
        observation.ended, observation.lost = str(gone), isinstance(gone, AgentGone)
    finally:
        for task in (watching, leaving, listening):
            task.cancel()
        await asyncio.wait([watching, leaving, listening])
        observation.end_silence()
        observation.watched = time.monotonic() - begun
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


async def _listen(observation: Observation, say: Callable[[str], None]) -> None:
    """Hears when nothing comes, for which no sample would wake anybody."""
    source = observation.source
    while isinstance(source, Observed):
        sentence = observation.hear(source.silence())
        if sentence:
            say(sentence)
        await asyncio.sleep(LOOK_EVERY)


async def _feed(
    observation: Observation, seconds: float, interval: float, told: Callable[[Sample], None]
) -> None:
    begin = None
    async for sample in _every(interval, _samples(observation.source, observation.hello, interval)):
        await observation.feed(sample)
        told(sample)
        begin = sample.monotonic if begin is None else begin
        if sample.monotonic - begin >= seconds - interval / 10:
            return


async def _samples(source: Source, hello: Hello, interval: float) -> AsyncIterator[Sample]:
    """The source's samples, sped up for as long as we watch if the agent's own interval is longer."""
    faster = source.live and interval < hello.interval
    if faster:
        await source.ask(requests.SetInterval(interval))
    try:
        async for sample in source.samples():
            yield sample
    finally:
        if faster:
            with contextlib.suppress(SourceError):
                await source.ask(requests.SetInterval(hello.interval))


async def _every(interval: float, samples: AsyncIterator[Sample]) -> AsyncIterator[Sample]:
    """``samples`` merged so that they are at least ``interval`` apart."""
    waiting: Sample | None = None
    last = float("-inf")
    async for sample in samples:
        waiting = sample if waiting is None else merged(waiting, sample)
        if waiting.monotonic - last >= interval * 0.9:
            last = waiting.monotonic
            yield waiting
            waiting = None
