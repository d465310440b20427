"""A made-up service behind the real `Source` protocol: deterministic, growing, moved by hand.

One leak (100 tasks a second, each asleep for 300 s), 50 long-lived streams, a busy request handler, an
imputed site, and any number of quiet ones.  Time stands still until `advance`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.model import requests
from taskscope.sources.base import Answering, NotAvailable, SourceError, TargetGone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from taskscope.model.vocabulary import Outcome

LEAK, STREAMS, HANDLER, IMPUTED, WORKERS = 1, 2, 3, 4, 5
SLEEP = 300
BOOT = 1000.0
"""The target's monotonic time when it and its agent started."""
WALL = 1_790_000_000.0
EDGES = (1.0, 10.0, 60.0, 600.0)

EXECUTOR = model.Frame("/srv/orders/executor.py", 231, "record_failure")
DECAY = model.Frame("/srv/orders/executor.py", 244, "decay_after")
SLEEPING = model.Frame("/usr/lib/python3.11/asyncio/tasks.py", 639, "sleep", "stdlib")
MAIN = model.Frame("/srv/orders/__main__.py", 12, "main")

SITES = (
    model.Site(LEAK, "task", EXECUTOR, EXECUTOR, "decay_after"),
    model.Site(
        STREAMS,
        "task",
        model.Frame("/srv/orders/stream.py", 88, "open_streams"),
        model.Frame("/srv/orders/stream.py", 88, "open_streams"),
        "read_stream",
    ),
    model.Site(
        HANDLER,
        "task",
        model.Frame("/usr/lib/python3/site-packages/web/server.py", 52, "handle", "library"),
        model.Frame("/srv/orders/api.py", 17, "serve"),
        "respond",
    ),
    model.Site(
        IMPUTED,
        "task",
        model.Frame("/srv/orders/book.py", 9, "watch"),
        None,
        "watch_book",
        "imputed",
        (model.Frame("/srv/orders/book.py", 9, "watch"), model.Frame("/srv/orders/book.py", 31, "rewatch")),
    ),
    model.Site(WORKERS, "thread", model.Frame("/srv/orders/pool.py", 5, "start"), None, "work"),
)


class FakeSource(Answering):
    """Call `advance` to let time pass, `end` to let the target go."""

    def __init__(
        self, *, quiet_sites: int = 0, name: str = "orders", pid: int = 4121, start: int = 60
    ) -> None:
        self.live = True
        self.name = name
        self.pid = pid
        self.seconds = start
        self.interval = 1.0
        self.control = False
        self.closed = False
        self.broken: str = ""
        self.asked: list[str] = []
        self.others: list[FakeSource] = []
        self.sites = [*SITES, *(_quiet(100 + index) for index in range(quiet_sites))]
        self.stacks = True
        self._why: SourceError = TargetGone("the target has ended")
        self._queue: asyncio.Queue[model.Sample | None] = asyncio.Queue()
        self._seq = 0

    # -- the hand that moves it --------------------------------------------------------------------

    def advance(self, seconds: int = 1) -> None:
        """Lets time pass; every second yields a sample."""
        for _ in range(seconds):
            self.seconds += 1
            self._queue.put_nowait(self.sample())

    def end(self, why: SourceError | None = None) -> None:
        """The target ends, or something else does."""
        self._why = why or self._why
        self._queue.put_nowait(None)

    @property
    def now(self) -> float:
        return BOOT + self.seconds

    # -- Source ------------------------------------------------------------------------------------

    async def open(self) -> model.Hello:
        return model.Hello(
            1, "0.1.0", self.process, self.interval, self.control, BOOT, self.now, WALL + self.seconds
        )

    @property
    def process(self) -> model.Process:
        return model.Process(
            self.pid,
            self.name,
            "3.11.7",
            "CPython",
            "/usr/bin/python3",
            ("python3", "-m", "orders"),
            "trading-1",
            "svc",
            "/srv/orders",
            WALL - 8000,
            1024,
            None,
        )

    def another(self) -> FakeSource:
        """A connection of its own; ``others`` lists them."""
        self.others.append(FakeSource(name=self.name, pid=self.pid, start=self.seconds))
        return self.others[-1]

    async def close(self) -> None:
        self.closed = True

    async def samples(self) -> AsyncIterator[model.Sample]:
        yield self.sample(full=True)
        while (sample := await self._queue.get()) is not None:
            yield sample
        raise self._why

    def sample(self, *, full: bool = False) -> model.Sample:
        self._seq += 1
        shown = self.sites if full else [site for site in self.sites if site.id in (LEAK, HANDLER)]
        counts = [self.counts(site.id) for site in shown]
        every = [self.counts(site.id) for site in self.sites if site.kind == "task"]
        return model.Sample(
            self._seq,
            self.now,
            WALL + self.seconds,
            self.interval,
            _total(every),
            14,
            212,
            100_000_000 + self.live_of(LEAK) * 1640,
            0.31,
            0.0019,
            0.002,
            3_000_000,
            full,
            tuple(self.sites) if full else (),
            tuple(counts),
        )

    def live_of(self, site: int, seconds: int | None = None) -> int:
        at = self.seconds if seconds is None else seconds
        return {LEAK: 100 * min(at, SLEEP), STREAMS: 50, HANDLER: 3 + at % 2, IMPUTED: 8, WORKERS: 4}.get(
            site, 1
        )

    def born_of(self, site: int, seconds: int | None = None) -> int:
        at = self.seconds if seconds is None else seconds
        if site == LEAK:
            return 100 * at
        return 310 * at + 3 + at % 2 if site == HANDLER else self.live_of(site, at)

    def counts(self, site: int) -> model.SiteCounts:
        live, born = self.live_of(site), self.born_of(site)
        failed = 2 if site == HANDLER else 0
        oldest = BOOT + max(0, self.seconds - SLEEP) if site == LEAK else BOOT
        median = oldest if site != LEAK else self.now - min(self.seconds, SLEEP) / 2
        if site == HANDLER:
            oldest = median = self.now - 0.1
        total = model.Counts(live, born, born - live - failed, failed)
        return model.SiteCounts(site, total, None if site == IMPUTED else oldest, median)

    def refusal(self, request: requests.Request[Any]) -> str:
        return f"nothing is known of {request.method}"

    async def set_interval(self, query: requests.SetInterval) -> None:
        self.asked.append(f"set_interval {query.seconds:g}")
        self.interval = query.seconds

    async def history(self, query: requests.History) -> model.History:
        self.asked.append("history")
        span = range(max(0, self.seconds - int(query.seconds)), self.seconds + 1)
        tasks = [float(sum(self.live_of(s.id, at) for s in self.sites if s.kind == "task")) for at in span]
        flat = tuple(14.0 for _ in span)
        return model.History(
            tuple(BOOT + at for at in span),
            tuple(tasks),
            tuple(410.0 * at for at in span),
            tuple(310.0 * at for at in span),
            flat,
            tuple(212.0 for _ in span),
            tuple(100e6 + self.live_of(LEAK, at) * 1640 for at in span),
            tuple(0.31 for _ in span),
            tuple(None if at < 10 else 0.0019 for at in span),
        )

    async def site_history(self, query: requests.SiteHistory) -> tuple[model.SiteHistory, ...]:
        span = range(max(0, self.seconds - int(query.seconds)), self.seconds + 1)
        return tuple(
            model.SiteHistory(
                site,
                tuple(BOOT + at for at in span),
                tuple(self.live_of(site, at) for at in span),
                tuple(self.born_of(site, at) for at in span),
                tuple(self.born_of(site, at) - self.live_of(site, at) for at in span),
            )
            for site in query.sites
        )

    async def site(self, query: requests.Site) -> model.SiteDetail:
        found = next((each for each in self.sites if each.id == query.site), None)
        if found is None:
            raise NotAvailable(f"site {query.site} has ended")
        stack = model.CreationStack(7, (found.frame, MAIN))
        return model.SiteDetail(found, self.counts(query.site), (stack,))

    def make_task(self, serial: int, site: int = LEAK) -> model.Task:
        """Serial n of the leak was born n / 100 s after the start."""
        birth = BOOT + serial / 100 if site == LEAK else BOOT
        left = max(0.0, SLEEP - (self.now - birth))
        parked = model.Parked(SLEEPING, DECAY, "sleep", "asyncio.sleep", None, left)
        name = next(each.coroutine for each in self.sites if each.id == site)
        return model.Task(serial, f"Task-{serial}", name, "pending", site, 1, True, 1, birth, 0, parked)

    async def tasks(self, query: requests.Tasks) -> model.TaskPage:
        self.asked.append(f"tasks {query.after} {query.limit}")
        if query.parked is not None:
            self.asked.append(f"tasks parked at {query.parked}")
        wanted = [
            site.id
            for site in self.sites
            if site.kind == "task" and (query.sites is None or site.id in query.sites)
        ]
        total = sum(self.live_of(site) for site in wanted)
        start = query.after or 0
        page = tuple(
            self._nth(wanted, index, query.order, total)
            for index in range(start, min(total, start + query.limit))
        )
        cursor = start + query.limit
        return model.TaskPage(page, total, cursor if cursor < total else None)

    def _nth(self, sites: Sequence[int], index: int, order: str, total: int) -> model.Task:
        index = total - 1 - index if order == "newest" else index
        for site in sites:
            live = self.live_of(site)
            if index < live:
                first = self.born_of(site) - live if site == LEAK else 1_000_000 * site
                return self.make_task(first + index, site)
            index -= live
        raise IndexError(index)

    async def task(self, query: requests.Task) -> model.TaskDetail:
        site = LEAK if query.serial < 1_000_000 else query.serial // 1_000_000
        found = self.make_task(query.serial, site)
        chain = (
            model.Ancestor(12, HANDLER, "Task-12", "respond", False),
            model.Ancestor(1, STREAMS, "main", "main", True),
        )
        return model.TaskDetail(found, (SLEEPING, DECAY), (), (), chain, (EXECUTOR, MAIN), True, 99)

    async def ages(self, query: requests.Ages) -> model.Ages:
        return model.Ages(EDGES, (100, 900, 5000, 24000, 0), 0)

    async def parked(self, query: requests.Parked) -> tuple[model.ParkedGroup, ...]:
        live = self.live_of(LEAK)
        return (
            model.ParkedGroup("sleep", DECAY, "sleep", "asyncio.sleep", live - 2, BOOT, 0.0, 300.0),
            model.ParkedGroup("put", EXECUTOR, "queue.put", "Queue.put", 2, BOOT),
        )

    async def facts(self, query: requests.Facts) -> model.SiteFacts:
        return model.SiteFacts(
            query.site, self.now, self.live_of(query.site), (0,) * len(query.cuts), cuts=tuple(query.cuts)
        )

    async def looks(self, query: requests.Looks) -> tuple[model.SiteFacts, ...]:
        return ()

    async def groups(self, query: requests.Groups) -> tuple[model.Group, ...]:
        self.asked.append(f"groups {query.by}")
        return (
            model.Group("a", f"{query.by} of decay_after", DECAY, self.live_of(LEAK), BOOT, (LEAK,)),
            model.Group("b", f"{query.by} elsewhere", None, 58, None, (STREAMS, IMPUTED)),
        )

    async def tree(self, query: requests.Tree) -> tuple[model.TreeGroup, ...]:
        if query.of is None:
            return (
                model.TreeGroup(HANDLER, "respond", 3, (1, 2, 3), self.live_of(LEAK), self.now - 0.1, True),
                model.TreeGroup(STREAMS, "read_stream", 50, (2_000_000, 2_000_001), 0, BOOT),
            )
        if query.of == 1:
            return (model.TreeGroup(LEAK, "decay_after", self.live_of(LEAK), (101, 102, 103), 0, BOOT),)
        return ()

    async def timers(self, query: requests.Timers) -> model.Timers:
        live = 600
        kept = model.KeptByTimers(6, "Session", 6, 6, 24_000, 6) if query.keeps else None
        session = model.TimerGroup(
            1,
            "Session.expire",
            model.Frame("/srv/orders/session.py", 90, "Session.expire"),
            (model.Frame("/srv/orders/session.py", 41, "Session.touch"),),
            "imputed",
            False,
            live,
            self.now + 7100,
            self.now + 7200,
            dues=(self.now + 7100, self.now + 7200),
            kept=kept,
        )
        sleeps = model.TimerGroup(
            2, "_set_result_unless_cancelled", SLEEPING, (), "unknown", True, 50, self.now, self.now + 300
        )
        return model.Timers(self.now, (session, sleeps), 0, 12, 1)

    async def resources(self, query: requests.Resources) -> model.Resources:
        made = model.Frame("/srv/orders/tenants.py", 7, "open_tenant")
        rows = (
            model.Resource("context", "request", 40, detail="Request", users=55, each=5_000),
            model.Resource("loop", "asyncio.unix_events._UnixSelectorEventLoop", 4, "stopped", frame=made),
            model.Resource(
                "primitive", "Lock", 1, detail="held by Task-7 at orders.py:40", users=12, since=self.now - 90
            ),
            model.Resource("executor", "render", 4, "full", "4 of 4 workers busy", users=17),
            model.Resource("transport", "Echo", 9, "open", "_SelectorSocketTransport", alone=6, inspected=6),
            model.Resource("generator", "read_stream", 3, "suspended", frame=DECAY),
            model.Resource("subprocess", "ffmpeg", 2, "ended"),
            model.Resource("descriptor", "tcp", 30, "open", "accepted on 0.0.0.0:8080"),
        )
        return model.Resources(self.now, rows, searched=True)

    async def threads(self, query: requests.Threads) -> tuple[model.Thread, ...]:
        pool = model.Executor("ThreadPoolExecutor-0", 4, 4, 17)
        main = model.Thread(
            1,
            4121,
            "MainThread",
            False,
            True,
            None,
            None,
            BOOT,
            42.5,
            "running",
            "runs loop 1",
            1,
            None,
            MAIN,
        )
        workers = tuple(
            model.Thread(
                10 + n,
                4200 + n,
                f"worker-{n}",
                True,
                True,
                WORKERS,
                1,
                BOOT,
                0.5,
                "idle",
                "idle",
                None,
                pool,
                MAIN,
            )
            for n in range(4)
        )
        return (main, *workers)

    async def thread(self, query: requests.Thread) -> model.ThreadDetail:
        for thread in await self.threads(requests.Threads()):
            if thread.ident == query.ident:
                return model.ThreadDetail(thread, (MAIN,), (MAIN,))
        raise NotAvailable(f"thread {query.ident} has ended")

    async def ended(self, query: requests.Ended) -> tuple[model.Ended, ...]:
        outcomes: tuple[Outcome, ...] = ("finished", "failed", "cancelled", "lost")
        return tuple(
            model.Ended(
                n,
                HANDLER,
                f"Task-{n}",
                "respond",
                outcomes[n % 4],
                "ValueError('no price')" if n % 4 == 1 else "",
                self.now - n - 0.1,
                self.now - n,
            )
            for n in range(min(query.limit, 100))
        )

    async def stalls(self, query: requests.Stalls) -> tuple[model.Stall, ...]:
        self.asked.append("stalls")
        return (
            model.Stall(
                1, self.now - 20, 0.8, True, 12, (model.Frame("/srv/orders/book.py", 77, "reprice"), MAIN)
            ),
        )

    async def cpu(self, query: requests.Cpu) -> model.CpuSlice:
        self.asked.append("cpu")
        select = model.Frame("/usr/lib/python3.11/asyncio/selector_events.py", 995, "_read_ready", "stdlib")
        parse = model.Frame("/srv/orders/parse.py", 40, "parse")
        tick = model.Frame("/usr/lib/python3/site-packages/anyio/scope.py", 610, "Scope.deliver", "library")
        stacks = (
            model.CpuStack(1, LEAK, "decay_after", True, 0.3, 15, (2, 1)),
            model.CpuStack(1, LEAK, "decay_after", True, 0.1, 5, (2,)),
            model.CpuStack(1, 0, "Scope.deliver", True, 0.5, 25, (3,)),
            model.CpuStack(2, 0, "", False, 0.04, 2, (4, 0)),
        )
        threads = (model.CpuThread(1, "MainThread", 0.9), model.CpuThread(2, "worker-3", 0.04))
        frames = (select, parse, DECAY, tick, MAIN)
        return model.CpuSlice(self.now, 1.0, 50, 0.99, 0.007, frames, threads, stacks)

    async def loops(self, query: requests.Loops) -> tuple[model.Loop, ...]:
        return (
            model.Loop(
                1, "_UnixSelectorEventLoop", 1, True, False, 6050, 3, 6000, 0.0003, 0.0019, 0.01, "ours"
            ),
        )

    async def turns(self, query: requests.Turns) -> tuple[model.LoopTurns, ...]:
        scope = model.Frame("/usr/lib/python3/site-packages/anyio/scope.py", 610, "Scope.deliver", "library")
        callbacks = (model.Callback("Scope.deliver", scope, 250), model.Callback("respond", MAIN, 9, 12))
        rearmed = (model.Rearmed("Scope.deliver", scope, MAIN, of_task=False, changes=False),)
        looks = model.LoopTurns(1, self.now, 0.5, 250, 0, 250, 41_234.0, 0.97, 0.0, callbacks, rearmed)
        return (looks,)

    async def source(self, query: requests.Source) -> model.SourceLines:
        first = max(1, query.line - query.context)
        return model.SourceLines(
            query.file,
            first,
            tuple(f"    line_{n}()  # of the file" for n in range(first, query.line + query.context + 1)),
        )

    async def snapshot(self, query: requests.Snapshot) -> dict[str, Any]:
        if self.broken:
            raise NotAvailable(self.broken)
        return {"format": "taskscope-snapshot", "schema": 1, "process": {"pid": self.pid, "name": self.name}}


def _quiet(id: int) -> model.Site:
    frame = model.Frame(f"/srv/orders/part{id % 37}.py", id, f"start_{id}")
    return model.Site(id, "task", frame, frame, f"part_{id % 11}")


def _total(counts: Sequence[model.SiteCounts]) -> model.Counts:
    each = [count.counts for count in counts]
    return model.Counts(
        sum(c.live for c in each),
        sum(c.born for c in each),
        sum(c.finished for c in each),
        sum(c.failed for c in each),
    )
