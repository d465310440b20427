"""What there is besides tasks, threads and timers: a walk over all of it, while somebody looks."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers import waited_things
from taskscope.agent.answers.definitions import Definitions
from taskscope.agent.answers.older import evenly
from taskscope.agent.answers.proofs import others_than
from taskscope.agent.counts import descriptors
from taskscope.agent.inspect import alone, children, contexts, older_loops, open_files, registered, turns
from taskscope.agent.inspect.looking import class_name, column, module_of
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.system import clock, system

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from taskscope.agent.answers.proofs import Proofs
    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.island import OwnRef
    from taskscope.agent.inspect.registered import Connection
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import requests
    from taskscope.model.vocabulary import ResourceKind, ResourceState

MAX_ROWS = 100
"""Most rows per kind."""

MAX_HANDLES = 20_000
"""Most timers per loop whose context is read."""

MAX_DESCRIPTORS = 5_000

INSPECTED = 6
"""Connections per group of which it is found out who else refers to them."""

FEWEST_KEPT = 3
"""Fewest of a kind of which it is worth a search what keeps them."""

SEARCH_EVERY = 20.0
"""Seconds between two searches for loops that nobody runs: up to 70 ms of CPU each."""


FRESH = 10.0
"""Seconds for which it is remembered who else refers to connections."""

_Group = tuple[str, str, "ResourceState"]
"""Connections of one protocol, kind and state."""


class ResourceReader:
    """Answers ``resources``."""

    def __init__(
        self,
        registry: Registry,
        watch: LoopWatch,
        threads: Callable[[], Job[tuple[model.Thread, ...]]],
        proofs: Proofs,
        since: Callable[[int], float | None],
    ) -> None:
        self._registry = registry
        self._watch = watch
        self._threads = threads
        self._proofs = proofs
        self._since = since
        self._definitions = Definitions()
        self._kept_then: dict[_Group, tuple[float, list[alone.Kept]]] = {}
        self._searched = -SEARCH_EVERY
        self._others: Counter[str] = Counter()  # loops found by the last search, by class
        self._everywhere = False  # it came to its end

    def resources(self, query: requests.Resources) -> Job[model.Resources]:
        of_threads = not {"executor", "primitive"}.isdisjoint(query.kinds)
        threads = (yield from self._threads()) if of_threads else ()
        walks: dict[ResourceKind, Job[list[model.Resource]]] = {
            "context": self._contexts(),
            "loop": self._loops(search=query.keeps > 0),
            "executor": self._executors(threads),
            "transport": self._transports(query.keeps),
            "generator": self._generators(),
            "subprocess": _subprocesses(),
            "descriptor": _descriptors(),
            "primitive": waited_things.rows(self._registry, self._since, threads),
        }
        rows: list[model.Resource] = []
        for kind, walk in walks.items():
            found = (yield from walk) if kind in query.kinds else []
            rows += sorted(found, key=lambda each: -each.count)[:MAX_ROWS]
        if query.keeps:
            rows = yield from self._with_keepers(rows, query.keeps)
        return model.Resources(clock.monotonic(), tuple(rows), self._everywhere)

    def _with_keepers(self, rows: list[model.Resource], least: int) -> Job[list[model.Resource]]:
        """The rows, with the container that keeps most, of groups of at least so many."""
        found = []
        for row in rows:
            is_wanted = self._is_one_of(row) if row.count >= max(least, FEWEST_KEPT) else None
            if is_wanted is None:
                found.append(row)
                continue
            key = "resource", row.key
            keeper = yield from self._proofs.keeper_of(key, is_wanted, self._registry.task_records())
            found.append(replace(row, keeper=keeper))
        return found

    def _is_one_of(self, row: model.Resource) -> Callable[[object], bool] | None:
        """Whether an object is among those of a row; None where that is not worth a search."""
        if row.kind in ("generator", "transport") and row.state in ("suspended", "open"):
            return partial(registered.is_one_of, row=row)
        if row.kind == "subprocess":
            ended = row.state == "ended"
            pids = (each.pid for each in children.of_this_process() if each[1:3] == (row.name, ended))
            return partial(children.is_handle_of, frozenset(pids))
        if row.kind == "loop" and row.state == "stopped" and row.frame is not None:
            return self._is_stopped_loop
        return None

    def _is_stopped_loop(self, thing: object) -> bool:
        return self._watch.id_of(thing) != 0 and turns.claimed_thread(thing) is None

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
        found = []
        for each in variables.found.values():
            frame = yield from self._definitions.line_of(each.name)
            found.append(
                model.Resource(
                    "context",
                    each.name,
                    len(each.values),
                    detail=each.kind,
                    frame=frame,
                    users=each.users,
                    each=each.bytes // max(1, each.measured),
                    variables=each.variables,
                )
            )
        return found

    def _loops(self, *, search: bool) -> Job[list[model.Resource]]:
        known = yield from self._watch.describe({})
        threads = self._watch.threads()
        counted: Counter[tuple[str, ResourceState, model.Frame | None]] = Counter()
        makers: dict[tuple[str, ResourceState, model.Frame | None], set[int]] = defaultdict(set)
        for each in known:
            key: tuple[str, ResourceState, model.Frame | None]
            key = each.kind, "running" if each.running else "stopped", each.made
            counted[key] += 1
            makers[key].add(threads.get(each.id, 0))
        living = set(sys._current_frames())
        if search and clock.monotonic() - self._searched >= SEARCH_EVERY:
            self._searched = clock.monotonic()
            yield from self._search()
        older: Counter[tuple[str, ResourceState, model.Frame | None]] = Counter()
        for kind, count in self._others.items():
            made = {key[2] for key in counted if key[:2] == (kind, "stopped") and key[2] is not None}
            older[kind, "stopped", made.pop() if len(made) == 1 else None] = count
        counted.update(older)
        return [
            model.Resource(
                "loop", key[0], count, key[1], frame=key[2], users=len(makers[key] & living), older=older[key]
            )
            for key, count in counted.items()
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

    def _executors(self, threads: Iterable[model.Thread]) -> Job[list[model.Resource]]:
        pools: dict[int, list[model.Thread]] = defaultdict(list)
        for thread in threads:
            if thread.executor is not None:
                pools[thread.executor.id].append(thread)
        yield
        alike: dict[tuple[str, ResourceState, int | None], list[Sequence[model.Thread]]] = defaultdict(list)
        for workers in pools.values():
            busy = any(each.state != "idle" for each in workers)
            state: ResourceState = "full" if model.is_full(workers) else "busy" if busy else "idle"
            assert workers[0].executor is not None
            alike[workers[0].executor.name, state, workers[0].site].append(workers)
        return [self._executors_of(*key, members) for key, members in alike.items()]

    def _executors_of(
        self, name: str, state: ResourceState, site: int | None, pools: Sequence[Sequence[model.Thread]]
    ) -> model.Resource:
        """Pools of one name, started at one line."""
        record = self._registry.by_id.get(site or 0)
        known = [workers[0].executor for workers in pools if workers[0].executor is not None]
        busy = sum(each.state != "idle" for workers in pools for each in workers)
        most = sum(each.max_workers or 0 for each in known)
        return model.Resource(
            "executor",
            name,
            len(pools),
            state,
            f"{busy} of {most} workers busy" if most else f"{busy} workers busy",
            record.site.frame if record is not None else None,
            users=sum(each.queued for each in known),
        )

    def _transports(self, least: int) -> Job[list[model.Resource]]:
        groups: dict[_Group, list[Connection]] = defaultdict(list)
        loops = [loop for _, loop in self._watch.loops()]
        for loop in loops:
            for each in (yield from registered.connections(loop)):
                groups[each.protocol or each.kind, each.kind, each.state].append(each)
        found = []
        for (name, kind, state), members in groups.items():
            some = [each.handle for each in members[:: max(1, len(members) // INSPECTED)][:INSPECTED]]
            inspect = 0 < least <= len(members)
            kept = (yield from self._kept((name, kind, state), some, loops)) if inspect else []
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

    def _kept(
        self, group: _Group, handles: Iterable[OwnRef | None], loops: list[object]
    ) -> Job[list[alone.Kept]]:
        """What only these handles keep alive; remembered for a while."""
        then, found = self._kept_then.get(group, (-FRESH, []))
        if clock.monotonic() - then >= FRESH:
            found = []
            for each in handles:
                kept = (yield from alone.connection_kept_by(each, loops)) if each is not None else None
                found += [kept] if kept is not None else []
            if len(self._kept_then) >= MAX_ROWS:
                self._kept_then.clear()
            self._kept_then[group] = clock.monotonic(), found
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


def _subprocesses() -> Job[list[model.Resource]]:
    births: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for each in children.of_this_process():
        births[each.name, each.ended].append(each.started)
        if spent():
            yield
    found = []
    for (name, ended), times in births.items():
        times.sort()
        told = tuple(times[place] for place in evenly(len(times)))
        state: ResourceState = "ended" if ended else "running"
        found.append(model.Resource("subprocess", name, len(times), state, since=times[0], births=told))
    return found


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
