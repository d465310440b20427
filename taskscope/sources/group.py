"""Several processes of one service as one source: what a group shows, how it follows its members.

A group is a `Source`, so whatever watches one process watches a group: app, ``watch``, ``report`` and
``metrics`` need to know it only where they show processes.

- Who belongs to it is asked every second (`choice.Choice`): a tree, several targets, a pattern.  Each process
  gets a number that is never used again, and an attendant (`members.Attendant`): its own connection, pump and
  judge.  At most `AT_ONCE` are being attached to at a time; one that refuses is a row that says why.
- A sample of the group is the sum of its members' newest, once a second by our clock: counts and gauges are
  added, of latencies the worst is shown.  A member's times are shifted by how far its clock is from ours.
- Sites are merged by line, function and coroutine (`analysis.merged`), and have the group's numbers.  A line
  that has moved because a member runs another version of the file is the same site if its text is the same
  and the file reads differently at the old place, which is asked of that member once.
- When a process ends, its live tasks count as ended in the totals; its row stays, and so do its leaks;
  the series keep what it had.  One that comes with a past (its agent is older than our connection) adds it to
  the series, of which the pump's pictures are told again.
- Nobody judges the sums: a group's findings are its members', merged, with the pids that have them.  Who has
  far more of a site than the others is an outlier (`analysis.outliers`): a mark, not a verdict.
- Questions about a site go to the member where it is worst.  Those about a whole process (threads, loops,
  trees, tasks by serial) are refused with the advice to open one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from taskscope import __version__, wire
from taskscope.analysis.outliers import never_started
from taskscope.attach.presence import staying
from taskscope.export.members import refusals
from taskscope.model import Hello, Judged, requests
from taskscope.sources.base import Answering, ConnectionLost, NotAvailable, SourceError, TargetGone
from taskscope.sources.choice import Choice, Found, is_pattern
from taskscope.sources.following import comes_back
from taskscope.sources.gathered import Gathered, siblings
from taskscope.sources.members import Attendant
from taskscope.sources.relay import LINGERS
from taskscope.sources.resolve import resolve
from taskscope.sources.secondhand import Secondhand

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from taskscope.analysis.judge import Judge
    from taskscope.model import History, Process, Sample, Silence, SiteHistory
    from taskscope.model.members import Member
    from taskscope.model.requests import Request
    from taskscope.sources.base import Source

T = TypeVar("T")

INTERVAL = 1.0
"""Seconds between samples, and between looks for processes that came."""

AT_ONCE = 4
"""Processes attached to at a time."""

PATIENCE = 30.0
"""Seconds that the first sample waits for those that are still being attached to, once there is one."""

PICTURE = 2.0
"""Likewise in the app, whose picture is completed as they come."""

MAX_ENDED = 200
"""Processes that have ended and are still listed; the others are only counted."""


class GroupSource(Answering):
    """The processes of ``choice``.  ``connect`` makes the source of one; it may block.

    ``progress`` gets sentences about processes that are being attached to.
    """

    live = True

    def __init__(
        self,
        choice: Choice,
        connect: Callable[[Found], Source],
        progress: Callable[[str], None] = lambda text: None,
        patience: float = PATIENCE,
    ) -> None:
        self.choice = choice
        self.progress = progress
        self.gathered = Gathered(self._live)
        self.left = 0
        """Processes that were attached to, and have ended since."""
        self.connect = connect
        self._patience = patience
        self._attendants: dict[object, Attendant] = {}
        self._past: list[Attendant] = []
        self._working: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._number = 0
        self._first = 0
        """The highest number of those that were there at first."""

    # -- source ------------------------------------------------------------------------------------

    async def open(self) -> Hello:
        """Attaches to all that are there.  Raises SourceError if none of them lets us."""
        begun, told = time.monotonic(), 0
        try:
            await self._look()
            self._first = self._number
            self._start(self._keep_looking())
            while not all(each.settled for each in self._attendants.values()):
                live = len(self._live())
                if live and time.monotonic() - begun > self._patience:
                    break
                if live != told:
                    self.progress(f"attached to {live} of {len(self._attendants)} processes")
                told = live
                await asyncio.sleep(0.05)
            hello = self._hello()
            if injected := self.injected:
                self.progress(staying(injected, LINGERS if self.choice.via else math.inf))
            return hello
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        self.gathered.close()
        working, self._working = self._working, set()
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working)

    async def samples(self) -> AsyncIterator[Sample]:
        """A full sample, then one a second: full again if the past has changed.

        TargetGone: all have ended, and no other can come.
        """
        yield self.gathered.sample(INTERVAL, full=True)
        recalled = 0
        while True:
            await asyncio.sleep(INTERVAL)
            if self.choice.lost:
                raise ConnectionLost(self.choice.lost)
            if not (self._attendants or self.choice.lasting):
                raise TargetGone(f"all {self.left} processes have ended")
            self._compare()
            before, recalled = recalled, self.gathered.recalled_at
            yield self.gathered.sample(INTERVAL, full=recalled != before)

    def silence(self) -> Silence | None:
        """None: the group's own samples always come; each member tells of itself."""
        return None

    def judge(self, hello: Hello) -> Judge:
        """Who says what is wrong: the members' judges together."""
        return Secondhand(hello, self.gathered.findings, self._judged)

    def _judged(self) -> Judged | None:
        """As far as the least far of those that were there first: recycled workers begin again for ever.

        Where none of those is left, as far as the one that has been there longest.
        """
        every = sorted(self._live(), key=lambda each: each.joined)
        if not every:
            return None
        first = [each for each in every if each.number <= self._first] or every[:1]
        return Judged(
            min(each.judged.seconds if each.judged is not None else 0.0 for each in first),
            sum(each.judged.growing for each in every if each.judged is not None),
        )

    def refusal(self, request: Request[Any]) -> str:
        return f"{request.method.replace('_', ' ')} is shown for one process: open one of the group"

    # -- its members -------------------------------------------------------------------------------

    def _live(self) -> list[Attendant]:
        return [
            each for each in list(self._attendants.values()) if each.live
        ]  # a thread of the judge asks, too

    @property
    def attendants(self) -> tuple[Attendant, ...]:
        """Those that are there, then those that have ended, latest first."""
        return (*self._attendants.values(), *reversed(self._past))

    def members(self) -> tuple[Member, ...]:
        """How they are now, in the order of `attendants`."""
        return tuple(each.shown() for each in self.attendants)

    def member(self, pid: int) -> Attendant | None:
        """A member that is attached to."""
        return next((each for each in self._live() if each.pid == pid), None)

    @property
    def injected(self) -> tuple[int, ...]:
        """The processes into which TaskScope has brought an agent."""
        return tuple(each.pid for each in self._live() if each.hello and each.hello.arrived == "injected")

    def again(self) -> GroupSource:
        """The same group, over a new connection if that to another machine is lost."""
        return GroupSource(self.choice.again(), self.connect, self.progress, self._patience)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            with contextlib.suppress(SourceError):
                await self._look()

    async def _look(self) -> None:
        """Admits those that came, and lists those that have ended apart."""
        living = [each.pid for each in self._attendants.values() if each.state == "attached"]
        found = await asyncio.to_thread(self.choice.find, living)
        there = {each.key for each in found}
        for key, each in list(self._attendants.items()):
            if key not in there and each.state != "attached":
                each.gone()
            if each.state == "ended":
                del self._attendants[key]
                self._past.append(each)
                self.left += each.hello is not None
        del self._past[:-MAX_ENDED]
        known = {each.found.key for each in self.attendants}
        named = {each.found.target for each in self.attendants}.intersection(self.choice.targets)
        for one in found:
            # a pid that has ended is no other process; a name is one again once there is a process
            again = one.target in named and not (one.pid and comes_back(one.target))
            if (member := self._attendants.get(one.key)) is not None:
                if one.command != member.found.command:  # another program, or another title
                    member.found = one
            elif one.key not in known and not again:
                self._number += 1
                member = self._attendants[one.key] = Attendant(self._number, one, self.gathered)
                if not one.helper:
                    self._start(member.attend(self.connect, self._room))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    def _compare(self) -> None:
        """Marks who is not like the others."""
        for peers in siblings(self._live()):
            idle = never_started({each: each.sample.tasks.born for each in peers if each.sample is not None})
            for each in peers:
                each.odd = (
                    "silent" if each.silent else "stuck" if each.stuck else "idle" if each in idle else ""
                )

    def _hello(self) -> Hello:
        there = [each.hello for each in self._live() if each.hello is not None]
        if not there:
            raise SourceError(refusals(self.members()) or self.choice.nobody)
        now, wall = time.monotonic(), time.time()
        since = min(each.agent_since + each.wall - each.monotonic for each in there)
        return replace(
            there[0],
            protocol=wire.PROTOCOL,
            taskscope=__version__,
            process=self._process([each.process for each in there]),
            interval=INTERVAL,
            control=False,
            agent_since=since - wall + now,
            monotonic=now,
            wall=wall,
            notes=() if there[0].counts_births else there[0].notes,
        )

    def _process(self, every: Sequence[Process]) -> Process:
        """The first one stands for all, with a common name and no limits: they are each one's own."""
        names = list(dict.fromkeys(each.name for each in every))
        return replace(
            every[0],
            name=names[0] if self.choice.children else ", ".join(names),
            started_wall=min(each.started_wall for each in every),
            fd_limit=None,
            memory_limit=None,
            thread_limit=None,
            unseen=tuple(dict.fromkeys(one for each in every for one in each.unseen)),
        )

    # -- answers -----------------------------------------------------------------------------------

    async def ask(self, request: Request[T]) -> T:
        """Of a site, the answer of the member where it is worst, which has that member's own numbers."""
        site = _site_of(request)
        if site is None:
            return await super().ask(request)
        member = self.worst(site)
        if member is None or member.source is None:
            raise NotAvailable("no process of the group has anything of that line now")
        own = self.gathered.sites.own(site, member.number)
        asked: dict[str, Any] = {"site": own[0]} if hasattr(request, "site") else {"sites": own}
        return await member.source.ask(replace(request, **asked))

    def worst(self, site: int) -> Attendant | None:
        """The member with most of a site, an outlier first."""
        spread = self.gathered.spread(site)
        pid = max(spread.live, key=lambda pid: (pid in spread.outliers, spread.live[pid]), default=0)
        return self.member(pid)

    async def history(self, query: requests.History) -> History:
        return self.gathered.history(query.seconds)

    async def site_history(self, query: requests.SiteHistory) -> tuple[SiteHistory, ...]:
        return self.gathered.site_history(query.sites, query.seconds)

    async def set_interval(self, query: requests.SetInterval) -> None:
        for each in self._live():
            with contextlib.suppress(SourceError):
                if each.source is not None:
                    await each.source.ask(query)

    async def source(self, query: requests.Source) -> Any:
        """A place in the code, as any member has it."""
        for each in self._live():
            with contextlib.suppress(NotAvailable):
                if each.source is not None:
                    return await each.source.ask(query)
        raise NotAvailable("no process of the group has that file")


def _site_of(request: Request[Any]) -> int | None:
    """The site that a question is about, if it is about one."""
    if isinstance(request, requests.Site):
        return request.site
    if isinstance(request, (requests.Ages, requests.Parked, requests.Tasks)):
        return request.sites[0] if request.sites and len(request.sites) == 1 else None
    return None


def observed(
    targets: Sequence[str],
    *,
    children: bool = False,
    via: str = "",
    inject: bool = True,
    read_only: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    patience: float = PATIENCE,
) -> Source:
    """The source for what a command line names: one target, or a group.  Raises SourceError as `resolve`."""
    group = group_of(
        targets,
        children=children,
        via=via,
        inject=inject,
        read_only=read_only,
        progress=progress,
        patience=patience,
    )
    return group or resolve(targets[0], via=via, inject=inject, read_only=read_only, progress=progress)


def group_of(
    targets: Sequence[str],
    *,
    children: bool = False,
    via: str = "",
    inject: bool = True,
    read_only: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    patience: float = PATIENCE,
) -> GroupSource | None:
    """The group that a command line names; None if it names one process, or a file."""
    if len(targets) == 1 and not children and not is_pattern(targets[0]):
        return None

    def connect(found: Found) -> Source:
        target = str(found.pid) if read_only and found.pid else found.target
        source = resolve(target, via=via, inject=inject, read_only=read_only)
        if not source.live:
            raise SourceError(f"{found.target} is a file; a group is of running processes")
        return source

    return GroupSource(Choice(tuple(dict.fromkeys(targets)), children, via), connect, progress, patience)
