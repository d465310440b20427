"""A process seen from outside as a source: what its memory and the kernel tell, and a refusal of the rest.

Nothing is written into the process, no thread of it is stopped, and none of its code runs: so this works
while none of its code can run.  Its memory is read once a second, at most for a third of the time; everything
else is answered from the last look, which has the form of a snapshot.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import time
from typing import TYPE_CHECKING, Any, cast

from taskscope import __version__, model, wire
from taskscope.attach import procfs
from taskscope.attach.errors import AttachError
from taskscope.model import requests
from taskscope.model.series import ProcessSeries
from taskscope.sources.base import AgentGone, Answering, NotAvailable, SourceError, TargetGone
from taskscope.sources.outside.look import Looker
from taskscope.sources.outside.picture import picture
from taskscope.sources.outside.process import describe
from taskscope.sources.outside.tally import Tally
from taskscope.sources.saved import SavedSource, source_here
from taskscope.sources.tallied import site_past, spare_files
from taskscope.text import seconds as lasting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from taskscope.model.requests import Request
    from taskscope.sources.base import T
    from taskscope.sources.outside.look import Look

RESTS = 2.0
"""Times the CPU of a look that the next one is put off at least: 100,000 tasks take 4 s of it."""

SLOW = 2.0
"""Seconds from which on it is said how long a look takes."""

OVERDUE = 2.4
"""Times the usual seconds between two looks after which one that has not ended is a silence."""

_OF_A_LOOK = (
    *(requests.Tasks, requests.Task, requests.Site, requests.Parked, requests.Threads, requests.Thread),
)
"""Answered from the last look."""

_NO = "Only an agent tells {}."
_NEVER = "Only an agent tells {}, and none enters a free-threaded Python."

_CREATORS = "which task created which"

_UNAVAILABLE: dict[type[Request[Any]], str] = {
    requests.Cancel: "Nothing is cancelled in a process that is only read.",
    requests.Detach: "There is nothing to remove: the process is only read.",
    requests.Console: "A console needs code in the process, which is only read.",
    requests.Ages: "when tasks were created",
    requests.Ended: "how tasks ended",
    requests.Facts: "what keeps tasks from ending",
    requests.Looks: "what kept tasks from ending",
    requests.Waits: "who can wake a task",
    requests.Mishaps: "what went wrong in tasks",
    requests.Stalls: "what blocked event loops",
    requests.Loops: "how event loops run",
    requests.Latencies: "how late event loops are",
    requests.Renewal: "what starts tasks",
    requests.Cpu: "which code uses the CPU",
    requests.Turns: "what event loops run",
    requests.Timers: "which timers there are",
    requests.Resources: "which contexts, executors and transports there are",
    requests.Modules: "which modules are loaded",
}
"""Whole sentences, or what an agent tells."""

NOTE = (
    "Read from outside: nothing enters the process.  Tasks are counted where they wait; only an agent tells "
    "what creates and keeps them, and what hangs."
)

FREE_THREADED = "No agent enters a free-threaded Python."
WITHOUT_GIL = "Its GIL is off, so no thread is told to hold it."
SLOW_LOOKS = "A look takes {}; the next one begins {} after it."
MANY_THREADS = "Of its {} threads {} are listed; all are counted."


class OutsideSource(Answering):
    """Process ``pid``, without entering it.  ``progress`` gets no sentence: answers are never late."""

    live = True

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.progress: Callable[[str], None] = lambda text: None
        self._looker: Looker | None = None
        self._no = _NO
        self._interval = 1.0
        self._tally = Tally()
        self._past = ProcessSeries()
        self._hello: model.Hello | None = None
        self._look: Look | None = None
        self._before: Look | None = None
        self._answers: SavedSource | None = None
        self._since: dict[str, float] = {}
        self._unread = 0
        self._took = self._lasted = self._ended = 0.0
        self._waited = 1.0
        self._one = asyncio.Lock()
        """Who reads the tally, or changes it, in a thread."""

    def another(self) -> OutsideSource:
        """A source for the same process, not yet opened."""
        return OutsideSource(self.pid)

    async def open(self) -> model.Hello:
        """Looks for the first time.  Raises SourceError if the process cannot be read."""
        try:
            looker = self._looker = await asyncio.to_thread(Looker, self.pid)
        except AttachError as error:
            raise SourceError(str(error)) from None
        try:
            look = await self._next_look()
            process = describe(self.pid, looker.python, look.stacks, sees_tasks=look.tasks is not None)
        except OSError as error:
            await self.close()
            raise SourceError(f"process {self.pid} cannot be read: {error}") from None
        except BaseException:
            await self.close()
            raise
        if looker.free_threaded:
            self._no = _NEVER
        self._hello = model.Hello(
            protocol=wire.PROTOCOL,
            taskscope=__version__,
            process=process,
            interval=self._interval,
            control=False,
            agent_since=look.monotonic,
            monotonic=look.monotonic,
            wall=look.wall,
            arrived="outside",
            notes=(self._note(look),),
        )
        return self._hello

    def note(self, hello: model.Hello) -> str:
        """What is not seen."""
        return self._note(self._look) if self._look is not None else hello.notes[-1]

    def _note(self, look: Look) -> str:
        said = [NOTE]
        if self._no is _NEVER:
            said.append(FREE_THREADED)
        if look.stacks.gil.off:  # an extension module may switch it on
            said.append(WITHOUT_GIL)
        if look.unlisted:
            said.append(MANY_THREADS.format(look.usage.threads, len(look.threads)))
        if self._lasted >= SLOW:
            said.append(SLOW_LOOKS.format(*map(lasting, (self._lasted, self._rest))))
        return "  ".join(said)

    async def close(self) -> None:
        """Closes the process's memory; what was seen can still be queried."""
        looker, self._looker = self._looker, None
        if looker is not None:
            looker.close()

    async def samples(self) -> AsyncIterator[model.Sample]:
        """Yields a full sample of the first look, then one per look."""
        for seq in itertools.count(1):
            if seq > 1:
                begun = time.monotonic()
                await asyncio.sleep(self._rest)
                await self._next_look()
                self._waited = time.monotonic() - begun
            else:
                self._waited = max(1.0, self._lasted + self._rest)
            sample = self._sample(seq, full=seq == 1)
            self._past.add(sample)
            self._tally.changed.clear()
            self._tally.new_sites.clear()
            yield sample

    @property
    def _rest(self) -> float:
        """Seconds between the end of a look and the next one."""
        return max(self._interval, RESTS * self._took)

    async def _next_look(self) -> Look:
        looker, begun = self._looker, time.monotonic()
        if looker is None:
            raise TargetGone("the process is no longer read")
        try:
            look, took = await asyncio.to_thread(_timed, looker.look)
        except ProcessLookupError as error:
            raise (TargetGone if procfs.ended(self.pid) else AgentGone)(str(error)) from None
        tasks, threads = look.tasks, look.stacks.threads
        async with self._one:
            self._before, self._look, self._answers = self._look, look, None
            there = tasks.tasks if tasks is not None else ()
            taken = functools.partial(self._tally.take, look.monotonic, there, threads, self.pid)
            _, counted = await asyncio.to_thread(_timed, taken)
        self._unread += tasks.unread if tasks is not None else 0
        self._ended = time.monotonic()
        self._took, self._lasted = took + counted, self._ended - begun
        return look

    def _sample(self, seq: int, *, full: bool) -> model.Sample:
        look, before, tally = cast("Look", self._look), self._before, self._tally
        cpu = None
        if before is not None and look.monotonic > before.monotonic:
            cpu = (look.cpu - before.cpu) / (look.monotonic - before.monotonic)
        dropped = {"tasks that changed while they were read": self._unread}
        dropped["threads that are not listed"] = look.unlisted
        if look.tasks is not None and look.tasks.more:
            dropped["looks that were cut short: there are more tasks"] = 1
        return model.Sample(
            seq=seq,
            monotonic=look.monotonic,
            wall=look.wall,
            interval=self._waited,
            tasks=tally.counts(),
            threads=look.usage.threads,
            fds=look.fds,
            rss=look.rss,
            cpu=cpu,
            loop_latency=None,
            agent_cpu=None,
            agent_memory=None,
            full=full,
            new_sites=tuple(each.site for each in tally.sites.values()) if full else tuple(tally.new_sites),
            sites=tuple(tally.sites[id].counts() for id in sorted(tally.sites if full else tally.changed)),
            dropped={what: number for what, number in dropped.items() if number},
        )

    def silence(self) -> model.Silence | None:
        """Why the process runs no Python code now, if it does not: samples come all the same.  Else whether
        a look takes much longer than the last one.
        """
        return self._halt() or self._overdue()

    def _overdue(self) -> model.Silence | None:
        seconds = time.monotonic() - self._ended
        if self._look is None or seconds < OVERDUE * max(SLOW, self._waited):
            return None
        last = lasting(self._lasted) if self._lasted >= 1 else "less than a second"
        return model.Silence(seconds, "silent", f"a look at it has not ended; the last one took {last}")

    def _halt(self) -> model.Silence | None:
        look = self._look
        if look is None:
            return None
        held = look.held
        if held is not None:
            said = model.Silence(held.seconds, "held", held.text, from_outside=True)
            return said if held.matters else None
        condition = look.condition
        if condition.state == "silent":
            self._since.clear()
            return None
        since = self._since.setdefault(condition.state, look.monotonic)
        return model.Silence(time.monotonic() - since, condition.state, condition.text, from_outside=True)

    # -- answers -------------------------------------------------------------------------------------

    async def ask(self, request: Request[T]) -> T:
        """Answers from the last look, in the form of a snapshot, if that can answer it."""
        tree = isinstance(request, requests.Tree) and request.by == "await"
        groups = isinstance(request, requests.Groups) and request.by == "parked"
        if isinstance(request, _OF_A_LOOK) or tree or groups:
            if isinstance(request, requests.Tasks) and request.parent is not None:
                raise NotAvailable(self._no.format(_CREATORS))
            return await (await self._last_look()).ask(request)
        return await super().ask(request)

    def refusal(self, request: Request[Any]) -> str:
        what = _UNAVAILABLE.get(type(request), _CREATORS)
        return what if what.endswith(".") else self._no.format(what)

    async def _last_look(self) -> SavedSource:
        look, answers = self._look, self._answers
        if answers is None:
            snapshot = await self.snapshot(requests.Snapshot())
            answers = await asyncio.to_thread(SavedSource.of, snapshot)
            if look is self._look:
                self._answers = answers
        return answers

    async def set_interval(self, query: requests.SetInterval) -> None:
        self._interval = query.seconds

    async def history(self, query: requests.History) -> model.History:
        return self._past.read(time.monotonic() - query.seconds)

    async def site_history(self, query: requests.SiteHistory) -> tuple[model.SiteHistory, ...]:
        since, sites = time.monotonic() - query.seconds, self._tally.sites
        return tuple(site_past(id, sites[id].past if id in sites else (), since) for id in query.sites)

    async def source(self, query: requests.Source) -> model.SourceLines:
        """The file as it is on this machine."""
        spare_files(query, os.stat(f"/proc/{self.pid}").st_uid)  # noqa: PTH116
        if procfs.root(self.pid):
            raise NotAvailable(f"{query.file} is among the files of the process's container")
        return source_here(query, "no agent reads it there")

    async def snapshot(self, query: requests.Snapshot) -> dict[str, Any]:
        if self._hello is None or self._look is None:
            raise SourceError("the source has not been opened")
        async with self._one:
            sites = tuple(self._tally.sites)
            return await asyncio.to_thread(
                picture,
                self._hello,
                self._sample(0, full=True),
                self._look,
                self._tally,
                await self.history(requests.History(float("inf"))),
                await self.site_history(requests.SiteHistory(sites, float("inf"))),
                self._halt(),
                stacks=query.stacks,
            )


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it returns, and the seconds of CPU that it took."""
    begun = time.thread_time()
    return work(), time.thread_time() - begun
