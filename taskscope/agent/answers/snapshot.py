"""The whole state in parts, a slice at a time: the content of ``taskscope snapshot``.

Frames and stacks are interned: a task refers to its stack by number, a stack to its frames by number.
Tasks parked at one place share both, so 100,000 tasks take tens of megabytes.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

from taskscope import model, wire
from taskscope.agent.answers import stalls
from taskscope.agent.answers import tasks as queries
from taskscope.agent.inspect import futures, open_files, other_ends, stacks, waits
from taskscope.agent.inspect.walk import live_tasks, spent
from taskscope.model import requests
from taskscope.model import snapshot as form
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taskscope.agent.agent import Agent
    from taskscope.agent.inspect.walk import Job
    from taskscope.agent.life import Resident

KEEPS = 20
"""Fewest timers of a group of which it is told what they keep alive."""

ROWS = 100
"""Tasks per part."""

HEARD_EVERY = 1.0
"""Seconds between signs of life."""

MAX_ENDED_PARENTS = 100_000

Part = tuple[str, Any]
T = TypeVar("T")


class _Interner:
    """Numbers frames and stacks; ``take`` returns those added since the last call."""

    def __init__(self) -> None:
        self._frames: dict[model.Frame, int] = {}
        self._stacks: dict[tuple[int, ...], int] = {}
        self._shapes: dict[int, tuple[stacks.Shape, int]] = {}
        self._new_frames: list[list[Any]] = []
        self._new_stacks: list[list[int]] = []

    def stack(self, frames: tuple[model.Frame, ...]) -> int:
        key = tuple(self._frame(frame) for frame in frames)
        known = self._stacks.get(key)
        if known is None:
            known = self._stacks[key] = len(self._stacks)
            self._new_stacks.append(list(key))
        return known

    def shape(self, shape: stacks.Shape) -> int:
        """The number of a shape's stack; the shape is kept alive so that its id is not reused."""
        known = self._shapes.get(id(shape))
        if known is None:
            known = self._shapes[id(shape)] = (shape, self.stack(shape.stack))
        return known[1]

    def _frame(self, frame: model.Frame) -> int:
        known = self._frames.get(frame)
        if known is None:
            known = self._frames[frame] = len(self._frames)
            self._new_frames.append([frame.file, frame.line, frame.function, frame.origin])
        return known

    def take(self) -> list[Part]:
        parts: list[Part] = [("frames", self._new_frames), ("stacks", self._new_stacks)]
        self._new_frames, self._new_stacks = [], []
        return [part for part in parts if part[1]]


class _EndedParents:
    """Collects the parents of live tasks that have ended, each once; ``take`` returns those added since."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._rows: list[dict[str, Any]] = []

    def add(self, task: object) -> None:
        lineage = futures.lineage_of(task)
        while lineage is not None and not lineage.live and lineage.serial not in self._told:
            if len(self._told) == MAX_ENDED_PARENTS:
                return
            self._told.add(lineage.serial)
            record, parent = lineage.chunk.site if lineage.chunk is not None else None, lineage.parent
            row = form.EndedParent(
                lineage.serial,
                parent.serial if parent is not None else 0,
                record.id if record is not None else queries.NO_SITE,
                lineage.name,
                record.site.coroutine if record is not None else "",
            )
            self._rows.append(wire.pack(row))
            lineage = parent

    def take(self) -> list[Part]:
        rows, self._rows = self._rows, []
        return [("ended_parents", rows)] if rows else []


class _Out:
    """Emits parts and counts them."""

    def __init__(self, emit: Callable[[str, Any], None], large: Callable[[str, Any], Job[None]]) -> None:
        self._emit, self._large = emit, large
        self.count = 0

    def __call__(self, parts: list[Part]) -> None:
        for section, value in parts:
            self._emit(section, value)
            self.count += 1

    def large(self, section: str, value: Any) -> Job[None]:
        """For a value with a row per site, which takes several slices to pack."""
        self.count += 1
        return self._large(section, value)


def snapshot(
    agent: Agent,
    emit: Callable[[str, Any], None],
    emit_large: Callable[[str, Any], Job[None]],
    *,
    with_stacks: bool = True,
) -> Job[int]:
    """Emits every section in parts (see ``add_part``); returns how many."""
    out, intern = _Out(emit, emit_large), _Interner()
    yield from _sites(agent, out, intern, with_stacks=with_stacks)
    live = yield from _tasks(agent, out, intern, with_stacks=with_stacks)
    loops = yield from agent.watch.describe(live)
    out([("loops", wire.pack(loops))])
    yield from _threads(agent, out, intern)
    ended = yield from agent.ended(requests.Ended(limit=10_000))
    yield from out.large("ended", ended)
    out([("failures", wire.pack(agent.registry.failures.every()))])
    for stall in (yield from stalls.read(agent.watch)):
        out([("stalls", [{**wire.pack(stall), "stack": intern.stack(stall.stack)}])])
    timers = yield from _heard(agent.timers.timers(requests.Timers(keeps=KEEPS)), out)
    resources = yield from _heard(agent.resources.resources(requests.Resources()), out)
    out([("timers", wire.pack(timers)), ("resources", wire.pack(resources))])
    yield from _past(agent, out)
    out(intern.take())
    return out.count


def of_counts(
    agent: Resident,
    emit: Callable[[str, Any], None],
    emit_large: Callable[[str, Any], Job[None]],
    *,
    with_stacks: bool,
) -> Job[int]:
    """Likewise the sections that hold counts; the others are empty."""
    out, intern = _Out(emit, emit_large), _Interner()
    yield from _sites(agent, out, intern, with_stacks=with_stacks)
    yield from _past(agent, out)
    out(intern.take())
    return out.count


def _sites(agent: Resident, out: _Out, intern: _Interner, *, with_stacks: bool) -> Job[None]:
    """What identifies a snapshot, the last sample, and its sites."""
    sample = yield from agent.sampler.full(agent.interval)
    out(_head(agent))
    yield from out.large("sample", sample)
    out([(section, []) for section in form.LISTS])
    for record in list(agent.registry.by_id.values()):
        kept = [*record.first_stacks, *record.last_stacks] if with_stacks else []
        out([("sites", [wire.pack(record.site)])])
        for serial, raw in kept:
            row = {"site": record.id, "serial": serial, "stack": intern.stack(stacks.describe_raw(raw))}
            out([("site_stacks", [row])])
        if spent():
            yield


def _past(agent: Resident, out: _Out) -> Job[None]:
    yield from out.large("history", agent.sampler.history.read(float("-inf")))
    for record in list(agent.registry.by_id.values()):
        out([("site_history", [wire.pack(agent.sampler.past(record.id, float("-inf")))])])
        if spent():
            yield


def _heard(job: Job[T], out: Callable[[list[Part]], None]) -> Job[T]:
    """Runs a job that emits nothing for long; meanwhile empty parts tell the client that we are at it."""
    told = clock.monotonic()
    while True:
        try:
            next(job)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        if clock.monotonic() >= told + HEARD_EVERY:
            told = clock.monotonic()
            out([("tasks", [])])
        yield


def _head(agent: Resident) -> list[Part]:
    hello = agent.hello()
    return [
        ("format", form.FORMAT),
        ("schema", form.SCHEMA),
        ("taskscope", hello.taskscope),
        ("process", wire.pack(hello.process)),
        ("agent", wire.pack(form.Agent.of(hello))),
        ("time", wire.pack(form.Times(clock.wall(), clock.monotonic()))),
    ]


def _tasks(
    agent: Agent, out: Callable[[list[Part]], None], intern: _Interner, *, with_stacks: bool
) -> Job[Mapping[int, int]]:
    """How many there are, by loop."""
    rows: list[dict[str, Any]] = []
    live: Counter[int] = Counter()
    parents = _EndedParents()
    for task in live_tasks(agent.registry.task_records()):
        if task is not None:
            rows.append(_task(agent, task, intern, with_stacks=with_stacks))
            parents.add(task)
        if task is None:
            yield  # before the rows are encoded, so that encoding counts against the next slice
        if rows and (task is None or len(rows) >= ROWS):
            live.update([row["loop"] for row in rows])
            out([*intern.take(), ("tasks", rows), *parents.take()])
            rows = []
        del task
    live.update([row["loop"] for row in rows])
    out([*intern.take(), ("tasks", rows), *parents.take()])
    return live


def _task(agent: Agent, task: object, intern: _Interner, *, with_stacks: bool) -> dict[str, Any]:
    try:
        value, frames, shape = agent.queries.values(task)
        parked = _parked(waits.describe(task, frames, shape.known)) if shape.stack else {}
    except Exception:  # noqa: BLE001  (an outer edge: one odd object must not hide all the others)
        agent.registry.drop(queries.UNREADABLE)
        return queries.known(task) | {"name": "", "state": "pending", "loop": 0}
    for optional in ("orphan", "cancelling"):
        if not value[optional]:
            del value[optional]
    if with_stacks:
        value["stack"] = intern.shape(shape)
    if parked and not futures.is_done(task):
        value["parked"] = parked
    return value


def _parked(wait: waits.Wait) -> dict[str, Any]:
    parked: dict[str, Any] = {"wait": wait.wait, "text": wait.text}
    if wait.task is not None:
        parked["task"] = wait.task
    if wait.remaining is not None:
        parked["remaining"] = wait.remaining
    if wait.detail:
        parked["detail"] = wait.detail
    on = open_files.describe(wait.number) if wait.number is not None else None
    if on is not None:
        parked["descriptor"] = wire.pack(on)
    return parked


def _threads(agent: Agent, out: Callable[[list[Part]], None], intern: _Interner) -> Job[None]:
    every = yield from agent.thread_view.all()
    yield from other_ends.of_all([on for thread in every for on in thread.descriptors])  # one search for all
    for thread in every:
        detail = yield from agent.thread_view.in_full(thread.ident)
        packed = wire.pack(detail.thread if detail is not None else thread)
        del packed["frame"]
        packed["stack"] = intern.stack(detail.stack if detail is not None else ())
        packed["creation"] = intern.stack(detail.creation if detail is not None else ())
        out([*intern.take(), ("threads", [packed])])
        yield
