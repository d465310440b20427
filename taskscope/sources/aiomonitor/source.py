"""A process that runs aiomonitor as a source: what its web API offers, and a clear refusal of the rest.

aiomonitor keeps no counts and no history, so both are kept here while attached.  All it offers is a list of
tasks, which is expensive for the target, so requests are rate-limited (see ``client``).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from typing import TYPE_CHECKING, Any, NoReturn

from taskscope import __version__, model, wire
from taskscope.model import requests
from taskscope.model.series import ProcessSeries
from taskscope.sources.aiomonitor import answers, learn
from taskscope.sources.aiomonitor.client import Client, NoSuchTask, Unanswered, address
from taskscope.sources.aiomonitor.host import HostProcess
from taskscope.sources.aiomonitor.tally import Tally, another_process
from taskscope.sources.base import Answering, NotAvailable, SourceError, TargetGone
from taskscope.sources.tallied import site_past, spare_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from taskscope.model.requests import Request
    from taskscope.sources.aiomonitor.tally import KnownTask, Look, Past, SiteTally

PAGES = 5
"""Task pages read after each list, to learn about new sites (about 10 ms each)."""

OUTCOMES = 20
"""Pages of ended tasks read per list of them."""

PROBES = (2, 3, 4)
PROBE_EVERY = 30
"""Lists fetched over a new connection, to detect another process on the same port."""

PATIENCE = 5
"""Consecutive answers from other processes after which the watched one counts as gone."""

TRIES = 3
"""Attempts at the first list: aiomonitor can fail to build one while many tasks come and go."""

_NO = "aiomonitor does not report {}: attach to the process by its pid for that"


_UNAVAILABLE: dict[type[Request[Any]], str] = {
    requests.Parked: "where tasks are parked, except for single tasks",
    requests.Groups: "which task created which, or where tasks are parked",
    requests.Tree: "which task created or awaits which, except for single tasks",
    requests.Looks: "earlier facts",
    requests.Threads: "threads",
    requests.Thread: "threads",
    requests.Stalls: "blocked loops",
    requests.Loops: "event loops",
    requests.Latencies: "how late event loops are",
    requests.Cpu: "which code uses the CPU",
    requests.Turns: "what event loops run",
    requests.Timers: "timers",
    requests.Resources: "contexts, executors and transports",
}


class AiomonitorSource(Answering):
    """The aiomonitor whose web API answers at ``host`` and ``port``."""

    live = True

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._interval = 1.0
        self._waited = 1.0
        self._tally = Tally()
        self._dropped: dict[str, int] = {}
        self._past = ProcessSeries()
        self._stacks: dict[int, list[model.CreationStack]] = {}
        self._learned: set[int] = set()
        self._client: Client | None = None
        self._process: HostProcess | None = None
        self._hello: model.Hello | None = None

    @classmethod
    def at(cls, target: str) -> AiomonitorSource:
        """The source behind ``aiomonitor://HOST[:PORT]``.  Raises SourceError."""
        return cls(*address(target))

    def another(self) -> AiomonitorSource:
        """A source for the same monitor, not yet opened."""
        return type(self)(self.host, self.port)

    async def open(self) -> model.Hello:
        """Fetches its version and its first list.  Raises SourceError."""
        client = self._client = Client(self.host, self.port)
        try:
            version = await client.version()
            process = self._process = await asyncio.to_thread(HostProcess, self.host, self.port)
            self._tally.take(await self._first_look(client))
        except BaseException:
            await self.close()
            raise
        now = time.monotonic()
        self._hello = model.Hello(
            protocol=wire.PROTOCOL,
            taskscope=__version__,
            process=process.describe(),
            interval=self._interval,
            control=False,
            agent_since=now,
            monotonic=now,
            wall=time.time(),
            arrived="aiomonitor",
            notes=tuple(self._notes(version, process)),
        )
        return self._hello

    def _notes(self, version: str, process: HostProcess) -> Iterator[str]:
        yield (
            f"Observed through aiomonitor {version}, which only lists tasks and shows single stacks: "
            "threads, loops, stalls, parents and waits need an agent in the process."
        )
        if all(task.birth is None for task in self._tally.tasks.values()):
            yield (
                "This aiomonitor was started without hook_task_factory=True: creation sites and ages are "
                "unknown, and tasks are grouped by coroutine."
            )
        if process.others:
            others = ", ".join(map(str, process.others))
            yield (
                f"{1 + len(process.others)} processes share port {self.port}: this is pid {process.pid}; "
                f"tasks of pid {others} are not shown."
            )

    async def close(self) -> None:
        """Closes the connection; data seen so far can still be queried."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def samples(self) -> AsyncIterator[model.Sample]:
        """Yields a full sample of the list that ``open`` read, then one per list."""
        in_vain = 0
        for seq in itertools.count(1):
            if seq > 1:
                self._waited = await self._asking.pause(self._interval)
                look = await self._look(seq)
                if look is None:
                    in_vain += 1
                    if in_vain >= PATIENCE:
                        raise TargetGone(f"the watched process no longer answers at {self._asking.name}")
                    continue
                in_vain = 0
                self._tally.take(look)
            await self._learn()
            yield self._tell(seq)

    @property
    def _asking(self) -> Client:
        if self._client is None:
            raise TargetGone("the connection is closed")
        return self._client

    @staticmethod
    async def _first_look(client: Client) -> Look:
        for _ in range(TRIES - 1):
            with contextlib.suppress(Unanswered):
                return await client.look()
        return await client.look()

    async def _look(self, seq: int) -> Look | None:
        """The next lists; None if it failed to build them, or another process answered."""
        client, before = self._asking, self._tally.last
        probe = seq in PROBES or seq % PROBE_EVERY == 0
        try:
            look = await client.look(fresh=probe)
        except Unanswered:
            self._drop("lists that aiomonitor failed to build")
            return None
        if before is None or not another_process(before, look):
            return look
        self._drop(f"answers from another process on port {self.port}")
        if not probe:
            await client.reconnect()
        return None

    def _drop(self, what: str) -> None:
        self._dropped[what] = self._dropped.get(what, 0) + 1

    async def _learn(self) -> None:
        """Reads one task's page for each unknown site, largest first."""
        waiting = [site for site in self._tally.sites.values() if site.site.id not in self._learned]
        waiting = sorted((site for site in waiting if site.live), key=lambda site: -site.live)[:PAGES]
        members: dict[int, KnownTask] = {}
        for task in self._tally.tasks.values():
            members.setdefault(task.site, task)
        for site in waiting:
            await self._learn_site(site, members[site.site.id])

    async def _learn_site(self, site: SiteTally, task: KnownTask) -> None:
        with contextlib.suppress(NoSuchTask):  # it has ended: retry with another
            trace = await self._asking.trace(task.id)
            self._learned.add(site.site.id)
            found = learn.learned(site.site, trace)
            if found != site.site:
                self._tally.learn(found)
            if trace.creations and trace.creations[0]:
                stack = model.CreationStack(task.serial, trace.creations[0])
                self._stacks.setdefault(site.site.id, []).append(stack)

    def _tell(self, seq: int) -> model.Sample:
        """The sample after a list: full at first, then what changed."""
        tally = self._tally
        sample = self._sample(seq, full=seq == 1)
        self._past.add(sample)
        tally.changed.clear()
        tally.new_sites.clear()
        return sample

    def _sample(self, seq: int, *, full: bool) -> model.Sample:
        assert self._process is not None
        tally, use, now = self._tally, self._process.use(), time.monotonic()
        sites = tally.sites if full else tally.changed
        dropped = dict(self._dropped)
        if tally.missed:
            dropped["ends between two lists (more than aiomonitor remembers)"] = tally.missed
        return model.Sample(
            seq=seq,
            monotonic=self._now,
            wall=time.time() - (now - self._now),
            interval=self._waited,
            tasks=tally.counts(),
            threads=use.threads,
            fds=use.fds,
            rss=use.rss,
            cpu=use.cpu,
            loop_latency=None,
            agent_cpu=None,
            agent_memory=None,
            full=full,
            new_sites=tuple(site.site for site in tally.sites.values()) if full else tuple(tally.new_sites),
            sites=tuple(tally.sites[id].counts() for id in sorted(sites)),
            dropped=dropped,
        )

    # -- the past since we attached ------------------------------------------------------------------

    async def set_interval(self, query: requests.SetInterval) -> None:
        """Sets the minimum time between lists."""
        self._interval = query.seconds

    async def history(self, query: requests.History) -> model.History:
        return self._past.read(self._now - query.seconds)

    async def site_history(self, query: requests.SiteHistory) -> tuple[model.SiteHistory, ...]:
        since, sites = self._now - query.seconds, self._tally.sites
        return tuple(site_past(id, sites[id].past if id in sites else (), since) for id in query.sites)

    @property
    def _now(self) -> float:
        return self._tally.last.at if self._tally.last else time.monotonic()

    # -- sites and tasks -----------------------------------------------------------------------------

    async def site(self, query: requests.Site) -> model.SiteDetail:
        found = self._tally.sites.get(query.site)
        if found is None:
            raise NotAvailable(f"site {query.site} is unknown")
        return model.SiteDetail(found.site, found.counts(), tuple(self._stacks.get(query.site, ())))

    async def tasks(self, query: requests.Tasks) -> model.TaskPage:
        if query.parent is not None:
            _refuse("which task created which, except for single tasks")
        if query.parked is not None:
            _refuse("where tasks are parked, except for single tasks")
        return answers.page(self._tally, query.sites, query.order, query.after, query.limit)

    async def task(self, query: requests.Task) -> model.TaskDetail:
        """One task with its stack, read from its page."""
        known = self._tally.tasks.get(query.serial)
        if known is None:
            raise NotAvailable(f"task {query.serial} has ended")
        try:
            trace = await self._asking.trace(known.id)
        except NoSuchTask:
            raise NotAvailable(f"task {query.serial} has ended, or aiomonitor cannot show it") from None
        return answers.detail(self._tally, known, trace)

    async def ages(self, query: requests.Ages) -> model.Ages:
        return answers.ages(self._tally, query.sites, self._now)

    async def facts(self, query: requests.Facts) -> model.SiteFacts:
        """How many live tasks were born before each cut, but not why they do not end."""
        found = answers.facts(self._tally, query.site, query.cuts, self._now)
        if found is None:
            _refuse("ages unless it hooks the task factory")
        return found

    async def ended(self, query: requests.Ended) -> tuple[model.Ended, ...]:
        """Newest first; outcomes of the newest are read from their pages, the others are ``unseen``."""
        newest = list(itertools.islice(reversed(self._tally.ended), max(0, query.limit)))
        for past in [each for each in newest if each.trace][:OUTCOMES]:
            await self._learn_outcome(past)
        return tuple(map(answers.ended, newest))

    async def _learn_outcome(self, past: Past) -> None:
        trace, past.trace = past.trace, ""  # fetched once, whatever the answer
        with contextlib.suppress(NoSuchTask, TargetGone):
            past.outcome, past.error = await self._asking.outcome(trace)

    async def source(self, query: requests.Source) -> model.SourceLines:
        """The file as it is on this machine: aiomonitor shows only single lines."""
        spare_files(query, self._process.uid if self._process is not None else None)
        lines = learn.source_lines(query.file)
        if not lines:
            raise NotAvailable(
                f"{query.file or 'this file'} is not on this machine, and aiomonitor does not send it"
            )
        first = max(1, query.line - query.context)
        shown = lines[first - 1 : query.line + query.context]
        return model.SourceLines(
            query.file, first, tuple(wire.clean_text(text.rstrip("\n").expandtabs()) for text in shown)
        )

    def refusal(self, request: Request[Any]) -> str:
        return _NO.format(_UNAVAILABLE.get(type(request), "that"))

    async def console(self, _: requests.Console) -> model.ConsoleAddress:
        """Where its telnet console listens: by default one port below the web API."""
        assert self._process is not None
        found = await asyncio.to_thread(self._process.console)
        if found is None:
            raise NotAvailable(
                f"the console of this aiomonitor was not found (nothing listens on port {self.port - 1}): "
                "run `python -m aiomonitor.cli -H HOST -p PORT` with the port given to start_monitor"
            )
        return model.ConsoleAddress(*found)

    async def leave_console(self, _: requests.LeaveConsole) -> None:
        """Does nothing: the console belongs to the program."""

    async def snapshot(self, query: requests.Snapshot) -> dict[str, Any]:
        """The current state, without stacks of single tasks: each would cost a page."""
        if self._hello is None or self._tally.last is None:
            raise SourceError("the source has not been opened")
        from taskscope.sources.aiomonitor.snapshot import snapshot

        sites = self._tally.sites.values()
        sample = self._sample(0, full=True)
        return snapshot(
            self._hello,
            sample,
            [site.site for site in sites],
            [answers.task(known) for known in self._tally.tasks.values()],
            {id: kept for id, kept in self._stacks.items() if query.stacks},
            await self.ended(requests.Ended()),
            await self.history(requests.History(float("inf"))),
            await self.site_history(
                requests.SiteHistory(tuple(site.site.id for site in sites), float("inf"))
            ),
        )


def _refuse(what: str) -> NoReturn:
    raise NotAvailable(_NO.format(what))
