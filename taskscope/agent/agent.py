"""The half that runs inside the target: hooks, counters, one thread, one socket.

It can be injected into any process, so its imports are restricted (see ARCHITECTURE.md).  It may fail; the
program must not notice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import interpreter, model, wire
from taskscope.agent.answers import mishaps, snapshot, stalls
from taskscope.agent.answers.console import Console
from taskscope.agent.answers.cpu import CpuSampler
from taskscope.agent.answers.facts import FactFinder
from taskscope.agent.answers.proofs import Proofs
from taskscope.agent.answers.resources import ResourceReader
from taskscope.agent.answers.retrying import Retrying
from taskscope.agent.answers.tasks import NotFoundError, Queries
from taskscope.agent.answers.threads import ThreadView
from taskscope.agent.answers.timer_groups import TimerReader
from taskscope.agent.answers.turning import Turning
from taskscope.agent.answers.uses import Uses
from taskscope.agent.answers.wait_reader import WaitReader
from taskscope.agent.counts import process
from taskscope.agent.counts.loops import LoopWatch
from taskscope.agent.counts.sampler import Sampler
from taskscope.agent.hooks import adopt
from taskscope.agent.hooks.collector import CollectorHook
from taskscope.agent.hooks.presence import Presence
from taskscope.agent.hooks.trio import TrioHooks
from taskscope.agent.inspect import futures
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.agent.life import Resident, now
from taskscope.agent.server import Server
from taskscope.model import requests
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.inspect.walk import Job
    from taskscope.agent.life import Actions
    from taskscope.model.vocabulary import Arrived, Unseen

FORK_DELAY = 1.0
"""Seconds before a forked child listens: most exec or end before that."""

STRAY_SEARCH = 5.0
"""Seconds between searches for tasks created without a factory; more if they would cost over 0.1 %."""

SOON = 1.0
"""Likewise while a task seems to be stranded."""


class Agent(Resident):
    """Everything inside the target."""

    def __init__(
        self, name: str | None, *, interval: float, control: bool, version: str, arrived: Arrived = "started"
    ) -> None:
        super().__init__(name, interval=interval, control=control, version=version, arrived=arrived)
        self.presence = Presence(self.registry, self.tell, self._meet, self._adopt)
        self.exits = self.presence.part("exits")
        self._loops = self.presence.part("loops")
        self._born = process.born()
        self.watch = LoopWatch(self.tell, self._born)
        self.trio = TrioHooks(self.registry, self.presence.part("trio"), self._meet)
        self.collector = CollectorHook(self.presence.part("collector"), self.watch.log)
        self.threads = self.presence.threads
        self.sampler = Sampler(self.registry, self.threads, self.watch)
        self.proofs = Proofs(self.watch.loops, Uses(self.process.started_wall))
        self.queries = Queries(self.registry, self.watch, self.proofs)
        self.server = Server(self)
        self.thread_view = ThreadView(self.watch, lambda: self.server.thread)
        self.waits = WaitReader(self.registry, self.watch, lambda: self.server.thread)
        self.timers = TimerReader(self.watch)
        self._pace, self._interruption = map(self.presence.part, ("pace", "interruption"))
        self.retrying = Retrying(self.registry)
        self.turning = Turning(self.registry, self.watch, self._pace)
        self.cpu = CpuSampler(self.watch, lambda: self.server.thread, self._interruption)
        self.resources = ResourceReader(
            self.registry, self.watch, self.thread_view.all, self.proofs, self.waits.since
        )
        self.facts = FactFinder(self.registry, self.thread_view.all, self.proofs)
        self.console = Console(self.watch, self.presence.part("console"), control)
        self._known_sites = 0
        self._adoption: Job[Any] | None = None
        self._next_search = 0.0

    # -- life ----------------------------------------------------------------------------------

    def obstacle(self) -> str:
        return interpreter.obstacle() or interpreter.hazard()

    def begin(self) -> None:
        self._loops.arm(self._loops.on_undo, self.watch.stop)
        self.server.start()
        self.presence.arm()
        self.trio.follow(self.presence)

    def work(self) -> None:
        self.collector.work()

    def rest(self) -> None:
        self.collector.rest()

    def deserted(self) -> None:
        self.console.stop()

    def _meet(self, loop: Any) -> None:
        self._loops.guard(self.watch.meet, loop)

    def look(self, late: float) -> float:
        """Looks at the loops until that fails; returns the seconds until the next look."""
        if self._loops.armed:
            try:
                return self.watch.look(late)
            except Exception as error:  # noqa: BLE001  (an outer edge: samples continue)
                self._loops.fail(error)
        return self.interval

    def _adopt(self, loops: list[Any]) -> None:
        self._adoption = adopt.adopt_tasks(self.registry, loops, self.watch.is_copy, self._born)
        self.registry.arriving = bool(loops)

    def forked(self) -> None:
        """In a forked child: the same hooks and counters, a new thread and socket.

        The parent's loops stay behind, except one that runs in the forking thread.
        """
        self.watch.forked()
        self._pace.undo()
        self._interruption.undo()
        self.trio.forked()
        self._adoption = self._forget_copies()
        self.server.abandon()
        self.server = Server(self)
        self.described = process.Described(self.described.name)
        self.server.start(delay=FORK_DELAY)

    def _forget_copies(self) -> Job[None]:
        yield from adopt.forget(self.registry, self.watch.forget_copies())
        if self.presence.sees_tasks:
            loops = [loop for _, loop in self.watch.loops()]
            yield from adopt.adopt_tasks(self.registry, loops, self.watch.is_copy)

    # -- for the server ------------------------------------------------------------------------

    def tick(self) -> Job[model.Sample]:
        adoption, self._adoption = self._adoption, None
        if adoption is not None:
            try:
                yield from adoption
            finally:
                self.registry.arriving = False
        elif self.presence.sees_tasks and clock.monotonic() >= self._next_search:
            self._next_search = float("inf")  # one at a time: the next tick may start before this one ends
            begun = clock.thread_time()
            loops = [loop for _, loop in self.watch.loops()]
            yield from adopt.strays(self.registry, loops, self.watch.is_copy)
            doubt = yield from self.watch.look_for_stranded(self.registry)
            least = SOON if doubt else STRAY_SEARCH
            self._next_search = clock.monotonic() + max(least, 1000 * (clock.thread_time() - begun))
        yield from self.trio.adopt_older()
        if len(self.registry.by_id) != self._known_sites:  # only a new site can explain unknown ones
            self._known_sites = len(self.registry.by_id)
            adopt.impute(self.registry)
        sample = yield from self.sampler.sample(self.interval, watched=self.server.watched)
        if self.registry.joined.changed:
            self.registry.joined.changed = False
            sample = yield from self.sampler.full(self.interval)
        shown: tuple[Unseen, ...] = ("trio",) if self.trio.part.armed else ()
        return (yield from self.described.with_changes(sample, shown))

    def settled(self, patience: float) -> Job[None]:
        """Waits until older tasks are registered and loops that seem to oversleep are re-checked.

        Otherwise a first answer would report none.
        """
        end = clock.monotonic() + patience
        while (self.registry.arriving or self.watch.in_doubt) and clock.monotonic() < end:
            yield

    def _actions(self, send: Callable[[bytes], None]) -> Actions:
        queries = self.queries
        return super()._actions(send) | {
            requests.Tasks: queries.tasks,
            requests.Task: queries.task,
            requests.Ages: queries.ages,
            requests.Parked: queries.parked,
            requests.Groups: queries.groups,
            requests.Tree: queries.tree,
            requests.Facts: self.facts.facts,
            requests.Looks: self.facts.looks,
            requests.Ended: self.ended,
            requests.Threads: lambda _: self.thread_view.all(),
            requests.Thread: self._thread,
            requests.Waits: self.waits.waits,
            requests.Timers: self.timers.timers,
            requests.Resources: self.resources.resources,
            requests.Loops: lambda _: self.loops(),
            requests.Latencies: lambda _: now(self.watch.tally.as_model),
            requests.Turns: self.turning.turns,
            requests.Cpu: self.cpu.cpu,
            requests.Mishaps: lambda _: mishaps.read(self.registry, self.retrying),
            requests.Renewal: self._renewal,
            requests.Stalls: lambda _: stalls.read(self.watch),
            requests.Cancel: self._cancel,
            requests.Console: self.console.where,
            requests.LeaveConsole: self.console.leave,
        }

    def loops(self) -> Job[tuple[model.Loop, ...]]:
        live: dict[int, int] = {}
        ids = {id(loop): number for number, loop in self.watch.loops()}
        for task in live_tasks(self.registry.task_records()):
            if task is None:
                yield
                continue
            number = ids.get(id(futures.loop_of(task)), 0)
            live[number] = live.get(number, 0) + 1
        return (yield from self.watch.describe(live))

    def ended(self, query: requests.Ended) -> Job[tuple[model.Ended, ...]]:
        found = []
        recent = list(self.registry.ended)[-query.limit :] if query.limit else []
        for serial, site, name, outcome, error, birth, end in recent:
            coroutine = self.registry.by_id[site].site.coroutine
            found.append(model.Ended(serial, site, name, coroutine, outcome, error, birth, end))
            if spent():
                yield
        return tuple(reversed(found))

    def _thread(self, query: requests.Thread) -> Job[model.ThreadDetail]:
        detail = yield from self.thread_view.in_full(query.ident)
        if detail is None:
            raise NotFoundError(f"thread {query.ident} has ended")
        return detail

    def _renewal(self, query: requests.Renewal) -> Job[model.Renewal]:
        record = self.registry.by_id.get(query.site)
        if record is None:
            raise NotFoundError(f"there is no site {query.site}")
        return (yield from self.timers.renewal(record.site))

    def _cancel(self, query: requests.Cancel) -> Job[bool]:
        if not self.control:
            raise wire.RemoteError(
                wire.FORBIDDEN, "this agent only observes; start it with control=True to cancel tasks"
            )
        yield
        task = self.registry.find(query.serial)
        if task is None:
            raise NotFoundError(f"task {query.serial} has ended")
        if type(task) is StandIn:
            raise wire.RemoteError(wire.FORBIDDEN, "tasks of trio are only cancelled by their program")
        loop = task.get_loop()
        self.watch.wakes(loop)
        loop.call_soon_threadsafe(task.cancel)
        return True

    def sections(
        self, emit: Callable[[str, Any], None], emit_large: Callable[[str, Any], Job[None]], *, stacks: bool
    ) -> Job[int]:
        return snapshot.snapshot(self, emit, emit_large, with_stacks=stacks)
