"""One process of a group: its connection, its judge, and what was last seen of it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import Counter
from typing import TYPE_CHECKING

from taskscope import text as fmt
from taskscope.attach import procfs
from taskscope.attach.presence import agent_in
from taskscope.model.members import Member
from taskscope.model.series import RATED, SETTLES, SLOPE_WINDOW, Series
from taskscope.model.state import TargetState
from taskscope.model.vocabulary import LEVELS
from taskscope.sources.base import (
    AgentGone,
    ConnectionLost,
    Observed,
    SourceError,
    TargetGone,
    TargetReplaced,
)
from taskscope.sources.pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from taskscope.analysis.judge import Judge
    from taskscope.model import Finding, Hello, History, Judged, Sample, SiteCounts, SiteHistory
    from taskscope.model.state import Change
    from taskscope.model.vocabulary import Level, MemberState, Odd
    from taskscope.sources.base import Source
    from taskscope.sources.choice import Found

QUIET = 5.0
"""Seconds without a sample after which a process counts as silent."""

TRIES, AGAIN = 3, 10.0
"""Attempts to attach to a process, and seconds between them."""

SOON = 1.0
"""Seconds until one that has lost its agent, or runs another program, is attached to again."""

ARRIVES = 0.2
"""Seconds between looks whether a young process has an agent."""

JUDGED_EVERY, JUDGED_A_SECOND = 2.0, 8
"""Fewest seconds between two verdicts on a process, and most verdicts a second on all of them."""

FRUGAL = 100.0
"""Seconds between two verdicts on a process, as a multiple of the CPU time that one takes."""


class Attendant:
    """Attends to one process from when it is found until it has ended.

    ``number``: its number in the group, never used again.  ``news`` is told of every sample, of the past,
    and of the end.
    """

    def __init__(self, number: int, found: Found, news: News) -> None:
        self.number = number
        self.found = found
        self.state: MemberState = "helper" if found.helper else "found"
        self.why = f"multiprocessing's {found.role}, left alone" if found.helper else ""
        self.began = time.time()
        self.ended: float | None = None
        self.odd: Odd = ""
        self.findings: tuple[Finding, ...] = ()
        self.judged: Judged | None = None
        self.judge: Judge | None = None
        self.source: Source | None = None
        self.joined = 0.0
        """Since when it counts, by our clock."""
        self.shift = 0.0
        """Leads from its clock to ours."""
        self._replaced = ""
        """That it runs another program now, as long as nobody is attached to that."""
        self._seen = TargetState()
        self._recent = _recent(0.0)
        self._news = news

    @property
    def sample(self) -> Sample | None:
        return self._seen.sample

    @property
    def hello(self) -> Hello | None:
        return self._seen.hello

    def counts(self, site: int) -> SiteCounts | None:
        """Its own newest counts of a site."""
        state = self._seen.sites.get(site)
        return state.counts if state is not None else None

    def slope(self, column: str) -> float | None:
        """Its own change per minute of one of `RATED`."""
        now = self.sample.monotonic if self.sample is not None else 0.0
        return self._recent.slope(now, RATED.index(column))

    @property
    def pid(self) -> int:
        return self.found.pid or (self.hello.process.pid if self.hello is not None else 0)

    @property
    def live(self) -> bool:
        """Whether it is attached to, and a first sample has come."""
        return self.state == "attached" and self.sample is not None

    @property
    def over(self) -> bool:
        return self.state == "ended"

    @property
    def settled(self) -> bool:
        """Whether it is known how it is."""
        return self.state != "found" and (self.state != "attached" or self.sample is not None)

    def shown(self) -> Member:
        """How it is now."""
        sample, hello = self.sample if self.live else None, self.hello
        found = Counter(each.level for each in self.findings)
        levels: dict[Level, int] = {level: found[level] for level in LEVELS[:-1] if found[level]}
        return Member(
            self.pid,
            hello.process.name if hello is not None else "",
            self.found.command or (hello.process.name if hello is not None else self.found.target),
            self.found.role,
            self.found.parent,
            self.state,
            self.silent or self.stuck or self.why,
            self.began,
            self.ended,
            sample.tasks.live if sample else None,
            sample.threads if sample else None,
            sample.rss if sample else None,
            sample.cpu if sample else None,
            sample.loop_latency if sample else None,
            levels,
            _worst(self.findings),
            self.odd,
        )

    @property
    def silent(self) -> str:
        """Why no samples come; "" while they do."""
        silence = self.source.silence() if isinstance(self.source, Observed) and self.live else None
        return silence.text if silence is not None and silence.seconds >= QUIET else ""

    @property
    def stuck(self) -> str:
        """The line that blocks its loop, if it has for as long as makes others count as silent; else ""."""
        lasting = (each for each in self.findings if each.blocks >= QUIET)
        return next((fmt.place(each) for each in lasting if self.live), "")

    # -- its life ----------------------------------------------------------------------------------

    async def attend(self, connect: Callable[[Found], Source], room: asyncio.Semaphore) -> None:
        """Connects when there is room, and follows the process until it is gone.

        One that refuses may only be starting: it is tried again, and so is one that runs another program
        from now on.
        """
        tries, pause = TRIES, 0.0
        while tries and not self.over:
            await asyncio.sleep(pause)
            tries, pause = tries - 1, AGAIN
            try:
                await self._attend(connect, room)
            except ConnectionLost:
                return  # what became of it is unknown
            except TargetReplaced as other:
                self._end("refused", str(other))
                self._replaced, tries, pause = str(other), TRIES, SOON
            except AgentGone as lost:
                self._end("refused", str(lost))
                pause = SOON
            except TargetGone as gone:
                self._end("ended", str(gone))
            except SourceError as problem:
                if self.found.here and procfs.ended(self.found.pid):
                    self.gone()  # it has not refused
                self._end("refused", str(problem))

    async def _attend(self, connect: Callable[[Found], Source], room: asyncio.Semaphore) -> None:
        await self._grown()
        if self.over:
            return  # its pid may be another process's by now
        try:
            async with room:
                self.source = await asyncio.to_thread(connect, self.found)
                hello = await self.source.open()
            if not self.over:
                self._begin(hello)
                await self._follow(hello)
        finally:
            if self.source is not None:
                with contextlib.suppress(SourceError):
                    await self.source.close()

    async def _grown(self) -> None:
        """Waits until it has an agent, or none comes by itself any more."""
        end = time.monotonic() + self.found.young
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, ARRIVES))
            if self.found.here and await asyncio.to_thread(agent_in, self.found.pid) is not None:
                return

    def gone(self) -> None:
        """There is no such Python process any more."""
        self._end("ended", self._replaced or "the process has ended")

    def _begin(self, hello: Hello) -> None:
        self._seen.begin(hello)
        self._recent = _recent(hello.agent_since)
        self.shift = (hello.wall - hello.monotonic) - (time.time() - time.monotonic())
        self.state, self.why, self.ended, self._replaced = "attached", "", None, ""
        self.joined = time.monotonic()

    async def _follow(self, hello: Hello) -> None:
        assert self.source is not None
        pump = Pump(self.source, hello, self)
        self.judge = pump.judge
        judging = asyncio.create_task(self._judge(pump), name="taskscope-judging")
        try:
            async for _ in pump.samples():
                pass
        finally:
            judging.cancel()
            await asyncio.wait([judging])

    async def _judge(self, pump: Pump) -> None:
        with contextlib.suppress(SourceError):  # the samples tell why
            while True:
                await pump.came()
                self.findings = await pump.judged()
                self.judged = pump.progress
                self._news.judged(self)
                pause = self._news.number / JUDGED_A_SECOND
                await asyncio.sleep(max(JUDGED_EVERY, pause, FRUGAL * pump.cost))

    def _end(self, state: MemberState, why: str) -> None:
        """What it leaves behind stays: its last findings too.  Whoever has ended stays so."""
        if self.over:
            return
        known = self.state == "attached"
        self.state, self.why = state, why
        self.ended = time.time()
        if known:
            self._news.ended(self)
        self.source, self.judge = None, None  # hundreds may end
        self._seen, self._recent = TargetState(self.hello), _recent(0.0)

    # -- a picture (see `sources.pump`) ------------------------------------------------------------

    def apply(self, sample: Sample) -> None:
        known = (sample.tasks.live, sample.threads, sample.fds, sample.rss)
        self._recent.append(sample.monotonic, [math.nan if each is None else each for each in known])
        self._news.sampled(self, sample, self._seen.apply(sample))

    def recall(self, past: History | tuple[SiteHistory, ...]) -> None:
        self._news.recalled(self, past)


def _recent(since: float) -> Series:
    """Of `RATED`, as far back as rates look; the agent is there ``since``."""
    return Series(len(RATED), ((SLOPE_WINDOW, 1.0),), since + SETTLES)


def _worst(findings: Sequence[Finding]) -> str:
    """Where the worst is, or what it says."""
    worst = next((each for each in findings if each.level != "info"), None)
    if worst is None:
        return ""
    return fmt.place(worst) if (worst.user_site or worst.site).file else worst.text


class News:
    """Who wants to know what becomes of members."""

    @property
    def number(self) -> int:
        """How many there are."""
        return 1

    def sampled(self, member: Attendant, sample: Sample, change: Change) -> None:
        """A sample, and what it changed."""

    def recalled(self, member: Attendant, past: History | tuple[SiteHistory, ...]) -> None:
        """What its agent remembers."""

    def judged(self, member: Attendant) -> None:
        """It has new findings."""

    def ended(self, member: Attendant) -> None:
        """It was attached to, and is gone."""
