"""What there is besides tasks, threads and timers: a walk over all of it, while somebody looks."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers.proofs import others_than
from taskscope.agent.counts import descriptors
from taskscope.agent.inspect import alone, children, contexts, older_loops, open_files, registered, turns
from taskscope.agent.inspect.looking import class_name, column, module_of
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.island import OwnRef
    from taskscope.agent.inspect.registered import Connection
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import requests
    from taskscope.model.vocabulary import ResourceState

MAX_ROWS = 100
"""Most rows per kind."""

MAX_HANDLES = 20_000
"""Most timers per loop whose context is read."""

MAX_DESCRIPTORS = 5_000

INSPECTED = 6
"""Connections per group of which it is found out who else refers to them."""

SEARCH_EVERY = 20.0
"""Seconds between two searches for loops that nobody runs: up to 70 ms of CPU each."""


class ResourceReader:
    """Answers ``resources``."""

    def __init__(
        self, registry: Registry, watch: LoopWatch, threads: Callable[[], Job[tuple[model.Thread, ...]]]
    ) -> None:
        self._registry = registry
        self._watch = watch
        self._threads = threads
        self._searched = -SEARCH_EVERY
        self._others: Counter[str] = Counter()  # loops found by the last search, by class
        self._everywhere = False  # it came to its end

    def resources(self, _: requests.Resources) -> Job[model.Resources]:
        rows: list[model.Resource] = []
        for walk in (
            self._contexts(),
            self._loops(),
            self._executors(),
            self._transports(),
            self._generators(),
            _subprocesses(),
            _descriptors(),
        ):
            found = yield from walk
            rows += sorted(found, key=lambda each: -each.count)[:MAX_ROWS]
        return model.Resources(clock.monotonic(), tuple(rows), self._everywhere)

    def _contexts(self) -> Job[list[model.Resource]]:
        variables = contexts.Variables()
        for task in live_tasks(self._registry.task_records()):
            if task is None:
                yield
            else:
                variables.add(contexts.of_task(task))
            del task
        for _, loop in self._watch.loops():
            heap = turns.variable(loop, "_scheduled")
            for place in range(0, min(MAX_HANDLES, len(heap) if type(heap) is list else 0), 100):
                part = heap[place : place + 100]
                for gone, context in zip(column(part, "_cancelled"), column(part, "_context"), strict=True):
                    if gone is not True:
                        variables.add(context)
                part = context = None
                if spent():
                    yield
        return [
            model.Resource(
                "context",
                each.name,
                len(each.values),
                detail=each.kind,
                users=each.users,
                each=each.bytes // max(1, each.measured),
            )
            for each in variables.found.values()
        ]

    def _loops(self) -> Job[list[model.Resource]]:
        known = yield from self._watch.describe({})
        counted: Counter[tuple[str, ResourceState, model.Frame | None]] = Counter()
        for each in known:
            state: ResourceState = "running" if each.running else "stopped"
            counted[each.kind, state, each.made] += 1
        if clock.monotonic() - self._searched >= SEARCH_EVERY:
            self._searched = clock.monotonic()
            yield from self._search()
        for kind, count in self._others.items():
            counted[kind, "stopped", None] += count
        return [
            model.Resource("loop", kind, count, state, frame=frame)
            for (kind, state, frame), count in counted.items()
        ]

    def _search(self) -> Job[None]:
        """Finds loops that the agent does not know: nobody runs them, and they are older than it."""
        tasks = yield from others_than(None, self._registry.task_records())
        found = yield from older_loops.search([loop for _, loop in self._watch.loops()], tasks)
        self._everywhere = found.everywhere
        others: Counter[str] = Counter()
        for each in found.loops:
            if not turns.is_closed(each) and not self._watch.is_copy(each):
                others[f"{module_of(type(each))}.{class_name(each)}"] += 1
            if spent():
                yield
        self._others = others

    def _executors(self) -> Job[list[model.Resource]]:
        pools: dict[int, list[model.Thread]] = defaultdict(list)
        for thread in (yield from self._threads()):
            if thread.executor is not None:
                pools[thread.executor.id].append(thread)
        yield
        return [self._executor(workers) for workers in pools.values()]

    def _executor(self, workers: Sequence[model.Thread]) -> model.Resource:
        pool, record = workers[0].executor, self._registry.by_id.get(workers[0].site or 0)
        assert pool is not None
        busy = sum(1 for each in workers if each.state != "idle")
        state: ResourceState = "full" if model.is_full(workers) else "busy" if busy else "idle"
        bound = f" of {pool.max_workers}" if pool.max_workers else ""
        return model.Resource(
            "executor",
            pool.name,
            pool.workers,
            state,
            f"{busy}{bound} workers busy",
            record.site.frame if record is not None else None,
            users=pool.queued,
        )

    def _transports(self) -> Job[list[model.Resource]]:
        groups: dict[tuple[str, str, ResourceState], list[Connection]] = defaultdict(list)
        loops = [loop for _, loop in self._watch.loops()]
        for loop in loops:
            for each in (yield from registered.connections(loop)):
                groups[each.protocol or each.kind, each.kind, each.state].append(each)
        found = []
        for (name, kind, state), members in groups.items():
            some = [each.handle for each in members[:: max(1, len(members) // INSPECTED)][:INSPECTED]]
            kept = yield from _kept([each for each in some if each is not None], loops)
            found.append(
                model.Resource(
                    "transport",
                    name,
                    len(members),
                    state,
                    kind if kind != name else "",
                    each=sum(each.size for each in kept) // len(kept) if kept else None,
                    alone=sum(each.alone for each in kept),
                    inspected=len(kept),
                )
            )
        return found

    def _generators(self) -> Job[list[model.Resource]]:
        found: list[model.Resource] = []
        for _, loop in self._watch.loops():
            here = yield from registered.generators(loop)
            found += [
                model.Resource("generator", frame.function, count, "busy" if busy else "suspended", "", frame)
                for (frame, busy), count in here.items()
            ]
        return found


def _kept(handles: Iterable[OwnRef], loops: list[object]) -> Job[list[alone.Kept]]:
    found = []
    for each in handles:
        kept = yield from alone.connection_kept_by(each, loops)
        if kept is not None:
            found.append(kept)
    return found


def _subprocesses() -> Job[list[model.Resource]]:
    counted: Counter[tuple[str, bool]] = Counter()
    for each in children.of_this_process():
        counted[each.name, each.ended] += 1
        if spent():
            yield
    return [
        model.Resource("subprocess", name, count, "ended" if ended else "running")
        for (name, ended), count in counted.items()
    ]


def _descriptors() -> Job[list[model.Resource]]:
    """By kind and address; connections that a listening socket has accepted count as its own."""
    found: list[model.Descriptor] = []
    for number in _numbers():
        one = open_files.describe(number)
        if one is not None:
            found.append(one)
        if spent():
            yield
    listening = {each.local for each in found if each.kind == "tcp" and not each.remote}
    counted = Counter((each.kind, _where(each, listening)) for each in found)
    return [
        model.Resource("descriptor", kind, count, "open", where) for (kind, where), count in counted.items()
    ]


def _numbers() -> list[int]:
    try:
        return [int(each) for each in system.listdir("/proc/self/fd")][:MAX_DESCRIPTORS]
    except OSError:
        return []


def _where(one: model.Descriptor, listening: Container[str]) -> str:
    if one.number in descriptors.numbers:
        return "of the agent"
    if one.kind == "unix":
        return one.remote or one.local
    if not one.remote:
        return f"listening on {one.local}" if one.local in listening else one.local
    port = one.local.rpartition(":")[2]
    accepted = next(
        (each for each in (one.local, f"0.0.0.0:{port}", f"[::]:{port}") if each in listening), ""
    )
    return f"accepted on {accepted}" if accepted else f"to {one.remote}"
