"""Watching a source for a while without the app: what `watch` and `demo` print in the end."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import field
from typing import TYPE_CHECKING

from taskscope.analysis import growth
from taskscope.model import Silence
from taskscope.model.state import TargetState
from taskscope.model.vocabulary import HALTED
from taskscope.sources.base import AgentGone, Observed, TargetGone
from taskscope.sources.group import GroupSource
from taskscope.sources.pump import Pump
from taskscope.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskscope.model import Finding, Hello, Process, Sample
    from taskscope.model.members import Member
    from taskscope.model.state import SiteState
    from taskscope.sources.base import Source

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what whoever started us sends: both end the watch, and what is to be printed is printed."""

QUIET = 5.0
"""Seconds without a sample that count as a result themselves."""

SOON = 1.0
"""The same of a process whose GIL is seen to be kept, so that no Python code runs."""

SAID_AGAIN = 30.0
"""Seconds after which a lasting silence is reported again."""

LATE = 2.5
"""Intervals without a sample that count as well, if they are longer."""

LOOK_EVERY = 0.5

PATIENCE = 0.5
"""Seconds that a sample is held back for the verdict on it: long answers stop no samples."""

LAST = 5.0
"""Seconds that the only verdict may take when the watch is over."""

MAX_SILENCES = 100

MAX_POINTS = 600
"""Points kept per series; beyond this every second one is dropped."""


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

    def shift(self, by: int) -> None:
        """Adds to every value: what was counted elsewhere before did not come now."""
        self.values = [each + by for each in self.values]

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

    state: SiteState
    live: LiveCounts = field(default_factory=LiveCounts)


class Observation:
    """What is known of a target so far: feed it samples, read it at any moment.

    ``findings`` are the verdicts on the sites after the last sample, worst first; ``ended`` says how the
    target ended, if it did; ``lost``: it still runs but cannot be observed.  ``silences``: the times without
    samples.
    """

    def __init__(self, source: Source, hello: Hello) -> None:
        self.source = source
        self.pump = Pump(source, hello, self)
        self.state = TargetState(hello)
        self.findings: tuple[Finding, ...] = ()
        self.first: Sample | None = None
        self.tasks = LiveCounts()
        self.rss = LiveCounts()
        self.sites: dict[int, Seen] = {}
        self.ended = ""
        self.lost = False
        self.watched = 0.0
        """Seconds by our clock, with samples or without."""
        self.silences: list[Silence] = []
        self.judged = False
        """Whether there has been a verdict."""
        self._silence: Silence | None = None
        self._said = 0.0
        self._heard = time.monotonic()

    def apply(self, sample: Sample) -> None:
        self.first = self.first or sample
        self._heard = time.monotonic()
        change = self.state.apply(sample)
        if sample.rss is not None:
            self.rss.add(sample.monotonic, sample.rss)
        for id, heir in change.heirs.items():
            self._inherit(self.sites[id], self.state.sites[heir])
        self._find(change.found)
        self.tasks.add(sample.monotonic, sample.tasks.live)
        for state in change.counted:
            if state.site.id not in self.sites:
                seen = self.sites[state.site.id] = Seen(state)
                if state.came and state.since is not None:
                    seen.live.add(state.since, state.first.live)
        for id in change.gone:
            self.sites.pop(id, None)
        for seen in self.sites.values():  # also those that did not change: a flat line is a line
            seen.live.add(sample.monotonic, seen.state.counts.counts.live)

    def _find(self, found: Mapping[int, int]) -> None:
        """Older tasks were there all the time, whenever they are found."""
        for id, number in found.items():
            if id in self.sites:
                self.sites[id].live.shift(number)
            if self.state.sites[id].site.kind == "task":
                self.tasks.shift(number)

    def _inherit(self, left: Seen, state: SiteState) -> None:
        """Moves the line of a dropped site to the one that its tasks are now counted under."""
        known = self.sites.get(state.site.id)
        if known is None:
            self.sites[state.site.id] = Seen(state, left.live)
        else:
            known.live.shift(left.state.counts.counts.live)

    def recall(self, past: object) -> None:
        """History from before the watch is for the judge alone."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The processes, if it is a group."""
        return self.source.members() if isinstance(self.source, GroupSource) else ()

    @property
    def hello(self) -> Hello:
        assert self.state.hello is not None
        return self.state.hello

    @property
    def process(self) -> Process:
        return self.hello.process

    @property
    def last(self) -> Sample | None:
        return self.state.sample

    async def judge(self) -> None:
        """Judges on every sample, so that levels that must last are seen to."""
        self.findings = await self.pump.judged()
        self.judged = True

    def silence(self, interval: float) -> Silence | None:
        """The silence that the source tells of; else none came here for as long, whatever the source says."""
        told = self.source.silence() if isinstance(self.source, Observed) else None
        seconds = time.monotonic() - self._heard
        interval = max(interval, self.last.interval if self.last is not None else 0.0)
        if told is not None or seconds < max(QUIET, LATE * interval):
            return told
        return Silence(seconds, "silent", "none came from the target, for a reason that is not known")

    def hear(self, silence: Silence | None) -> str:
        """Records how long no sample has come; returns what to report about it, or nothing."""
        before = self._silence
        if silence is None or silence.seconds < _worth(silence):
            if before is None:
                return ""
            self.end_silence()
            resumed = "Python code runs again" if before.from_outside else "samples resumed"
            return f"{resumed} after {before.seconds:.0f} s"
        self._silence = silence
        if before is not None and before.state == silence.state and silence.seconds < self._said + SAID_AGAIN:
            return ""
        self._said = silence.seconds
        return silence.said

    def end_silence(self, *, lasts: bool = False) -> None:
        """Ends a silence: a sample came, or the watch is over while it ``lasts``."""
        silence, self._silence = self._silence, None
        if silence is not None and (lasts or silence.seconds >= QUIET) and len(self.silences) < MAX_SILENCES:
            self.silences.append(silence)

    @property
    def seconds(self) -> float:
        return self.last.monotonic - self.first.monotonic if self.first and self.last else 0.0


def _worth(silence: Silence) -> float:
    """Seconds after which it is reported."""
    if silence.state in HALTED:
        return 0.0
    return SOON if silence.from_outside and silence.state == "held" else QUIET


async def observe(
    observation: Observation,
    seconds: float,
    interval: float,
    told: Callable[[Sample], None],
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Feeds samples to ``observation`` (and ``told``) until time is up, a signal says so, or the target ends.

    ``say`` gets a sentence when samples stop, and when they resume.
    """
    begun, told_to_end = time.monotonic(), asyncio.Event()
    for number in ENDING:
        asyncio.get_running_loop().add_signal_handler(number, told_to_end.set)
    watching = asyncio.create_task(_feed(observation, seconds, interval, told))
    leaving = asyncio.create_task(told_to_end.wait())
    listening = asyncio.create_task(_listen(observation, interval, say))
    try:
        await asyncio.wait([watching, leaving], timeout=seconds + 1, return_when=asyncio.FIRST_COMPLETED)
        if observation.first is not None and not observation.judged and not leaving.done():
            await asyncio.wait([watching, leaving], timeout=LAST, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        watching.cancel()
        await asyncio.wait([watching])
        if observation.judged and not leaving.done():  # on the last sample, which is what else is shown
            last = asyncio.create_task(observation.judge())
            try:
                await _settled(last, PATIENCE)
            finally:
                await _withdrawn(last)
    except TargetGone as gone:
        observation.ended, observation.lost = str(gone), isinstance(gone, AgentGone)
    finally:
        for task in (watching, leaving, listening):
            task.cancel()
        await asyncio.wait([watching, leaving, listening])
        observation.hear(observation.silence(interval))
        observation.end_silence(lasts=True)
        observation.watched = time.monotonic() - begun
        for number in ENDING:
            asyncio.get_running_loop().remove_signal_handler(number)


async def _listen(observation: Observation, interval: float, say: Callable[[str], None]) -> None:
    """Watches for silences, which no sample would reveal."""
    while observation.source.live:
        sentence = observation.hear(observation.silence(interval))
        if sentence:
            say(sentence)
        await asyncio.sleep(LOOK_EVERY)


async def _feed(
    observation: Observation, seconds: float, interval: float, told: Callable[[Sample], None]
) -> None:
    begin, judging = None, None
    try:
        async for sample in observation.pump.samples(interval):
            if judging is None or judging.done():
                judging = asyncio.create_task(observation.judge())
            await _settled(judging, PATIENCE)
            told(sample)
            begin = sample.monotonic if begin is None else begin
            over = sample.monotonic - begin - seconds + interval / 10
            if over >= 0 and (observation.judged or over >= LAST):
                return
        if judging is not None:
            await _settled(judging, LAST)
    finally:
        if judging is not None:
            await _withdrawn(judging)


async def _withdrawn(judging: asyncio.Task[None]) -> None:
    """Ends it, lest it go on while its source is closed."""
    judging.cancel()
    await asyncio.wait([judging])


async def _settled(judging: asyncio.Task[None], patience: float) -> None:
    """Waits so long for a verdict.  Raises what it raised."""
    done, _ = await asyncio.wait([judging], timeout=patience)
    for each in done:
        each.result()
