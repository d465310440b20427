"""Answers to requests about tasks.

Each is a job (see ``walk``): a generator that pauses, and returns a model value.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from taskscope import model
from taskscope.agent.answers import groups, trees
from taskscope.agent.answers.proofs import PROVABLE
from taskscope.agent.inspect import awaiting, futures, holders, other_ends, stacks, task_facts
from taskscope.agent.inspect.foreign import StandIn
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.walk import live_tasks, merged, spent
from taskscope.system import clock

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from taskscope.agent.answers.proofs import Proofs
    from taskscope.agent.counts.loops import LoopWatch
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import Lineage, SiteRecord
    from taskscope.agent.inspect.walk import Entry, Job
    from taskscope.model import requests

MAX_PAGE = 1_000
"""Rows per page: about 12 ms for the client to read."""

NO_SITE = 0

UNREADABLE = "details of tasks that cannot be read"
"""The ``dropped`` counter for tasks with an object that cannot be read."""


MAX_RELATED = 100
"""Most tasks listed as awaited by, awaiting, or holding the lock of another."""


class NotFoundError(LookupError):
    """No such task, site or thread (any more); the message is for the user."""


EXPENSIVE = 0.01
"""Seconds of work from which an answer is cached."""

SHARE = 50
"""Cache lifetime as a multiple of the cost: views that ask every second take 2 % of a core."""

MAX_KEPT = 8
"""Answers cached."""


class _Kept(NamedTuple):
    until: float
    answer: Any


class Queries:
    """Reads the registry for the server."""

    def __init__(self, registry: Registry, watch: LoopWatch, proofs: Proofs) -> None:
        self._kept: dict[object, _Kept] = {}
        self._registry = registry
        self._watch = watch
        self._proofs = proofs

    # -- one task as a value -------------------------------------------------------------------

    def row(self, task: object) -> model.Task:
        """One task; if it cannot be read, what the registry knows of it, counted as dropped."""
        try:
            values, frames, shape = self.values(task)
            parked = stacks.parked(task, frames, shape) if not futures.is_done(task) else None
            return model.Task(**values, parked=parked)
        except Exception:  # noqa: BLE001  (an outer edge: one odd object must not hide all the others)
            self._registry.drop(UNREADABLE)
            return model.Task(**known(task), name="", state="pending", loop=0)

    def values(self, task: object) -> tuple[dict[str, Any], list[FrameType], stacks.Shape]:
        """A task's fields except ``parked``, and the frames and shape that determine it."""
        frames = stacks.await_chain(futures.coroutine(task))
        values = {
            **known(task),
            "name": futures.name_of(task),
            "state": stacks.state_of(task),
            "loop": self._watch.id_of(futures.loop_of(task)),
            "cancelling": futures.cancels_of(task),
        }
        return values, frames, stacks.shape_of(frames)

    def _records(self, sites: Sequence[int] | None) -> list[SiteRecord]:
        if sites is None:
            return self._registry.task_records()
        known = (self._registry.by_id.get(site) for site in sites)
        return [record for record in known if record is not None and record.site.kind == "task"]

    # -- pages ---------------------------------------------------------------------------------

    def tasks(self, query: requests.Tasks) -> Job[model.TaskPage]:
        records = self._records(query.sites)
        limit = max(1, min(query.limit, MAX_PAGE))
        if query.parent is None and query.parked is None:
            newest = query.order == "newest"
            found = yield from self._some(records, query.after, limit + 1, newest=newest)
            total = yield from _live(records)
        else:
            found, total = yield from self._sparing(query, lambda: self._matching(records, query, limit + 1))
        rows = []
        for _, reference in found[:limit]:
            task = reference()
            if task is not None and not futures.is_done(task):
                rows.append(self.row(task))
            del task
            if spent():
                yield
        return model.TaskPage(tuple(rows), total, found[limit - 1][0] if len(found) > limit else None)

    @staticmethod
    def _some(records: list[SiteRecord], after: int | None, limit: int, *, newest: bool) -> Job[list[Entry]]:
        """The next ``limit`` live tasks."""
        found: list[Entry] = []
        for entry in merged(records, newest=newest, after=after):
            if entry is None:
                yield
            elif not _has_ended(entry):
                found.append(entry)
                if len(found) == limit:
                    break
        return found

    @staticmethod
    def _matching(
        records: list[SiteRecord], query: requests.Tasks, limit: int
    ) -> Job[tuple[list[Entry], int]]:
        """The next ``limit`` matches and the total number of matches: walks every task."""
        found: list[Entry] = []
        total = 0
        waiting = groups.Waiting()
        after, newest = query.after, query.order == "newest"
        for entry in merged(records, newest=newest):
            if entry is None:
                waiting.pause()
                yield
            elif _matches(entry[1](), query, waiting):
                total += 1
                passed = after is None or (entry[0] < after if newest else entry[0] > after)
                if passed and len(found) < limit:
                    found.append(entry)
        return found, total

    # -- one task, one site --------------------------------------------------------------------

    def task(self, query: requests.Task) -> Job[model.TaskDetail]:
        serial = query.serial
        task = self._registry.find(serial)
        if task is None:
            raise NotFoundError(f"task {serial} has ended")
        chunk, lineage = futures.chunk_of(task), futures.lineage_of(task)
        if chunk is None:
            raise NotFoundError(f"task {serial} has ended")
        exact = self._stack_of(chunk.site, serial)
        row = self.row(task)
        stack = stacks.describe(stacks.await_chain(futures.coroutine(task)))
        waits_for = tuple(self.row(each) for each in awaiting.waited_tasks(task)[:MAX_RELATED])
        awaited_by = tuple(self.row(each) for each in awaiting.awaiting_tasks(task)[:MAX_RELATED])
        lock = task_facts.awaited_lock(task)
        wait = row.parked.wait if row.parked is not None and type(task) is not StandIn else "unknown"
        search = holders.Search(task) if wait == "future" else None
        asked = OwnRef(task) if wait in PROVABLE else None
        del task
        if search is not None:
            yield from search.near()
        siblings, held_by = yield from self._among_others(lineage, lock, search)
        del lock  # whoever refers to it could release it
        if row.parked is not None and row.parked.descriptor is not None:
            (on,) = yield from other_ends.of_all([row.parked.descriptor])
            row = replace(row, parked=replace(row.parked, descriptor=on))
        creation = exact if exact is not None else self._any_stack(chunk.site)
        waking = (
            (yield from self._proofs.of_task(serial, asked, self._registry.task_records()))
            if asked is not None
            else None
        )
        return model.TaskDetail(
            row,
            stack,
            waits_for,
            awaited_by,
            ancestors(lineage),
            creation,
            exact is not None,
            max(0, siblings - 1),
            tuple(held_by),
            search.result() if search is not None else (),
            waking.fate if waking is not None else None,
            waking.by if waking is not None else "",
        )

    def _among_others(
        self, lineage: Lineage | None, lock: object, search: holders.Search | None
    ) -> Job[tuple[int, list[model.Task]]]:
        """How many tasks have the same parent, itself included, and which hold the lock that it waits for."""
        siblings = 0
        held_by: list[model.Task] = []
        for other in live_tasks(self._registry.task_records()):
            if other is None:
                yield
                continue
            theirs = futures.lineage_of(other)
            if lineage is not None and theirs is not None and theirs.serial == lineage.serial:
                siblings += 1
            if lock is not None and len(held_by) < MAX_RELATED and task_facts.holds(other, lock):
                held_by.append(self.row(other))
            if search is not None:
                yield from search.look(other)
        return siblings, held_by

    @staticmethod
    def _stack_of(record: SiteRecord, serial: int) -> tuple[model.Frame, ...] | None:
        for known, raw in [*record.first_stacks, *record.last_stacks]:
            if known == serial:
                return stacks.describe_raw(raw)
        return None

    @staticmethod
    def _any_stack(record: SiteRecord) -> tuple[model.Frame, ...]:
        for _, raw in [*record.first_stacks, *record.last_stacks]:
            return stacks.describe_raw(raw)
        return ()

    # -- what needs a walk ---------------------------------------------------------------------

    def ages(self, query: requests.Ages) -> Job[model.Ages]:
        return self._sparing(query, lambda: groups.ages(self._records(query.sites)))

    def parked(self, query: requests.Parked) -> Job[tuple[model.ParkedGroup, ...]]:
        return self._sparing(query, lambda: groups.parked(self._records(query.sites)))

    def groups(self, query: requests.Groups) -> Job[tuple[model.Group, ...]]:
        return self._sparing(query, lambda: groups.grouped(self._registry.task_records(), query.by))

    def tree(self, query: requests.Tree) -> Job[tuple[model.TreeGroup, ...]]:
        level = trees.by_await if query.by == "await" else trees.by_parent
        return self._sparing(query, lambda: level(self._registry, query.of))

    def _sparing(self, key: object, work: Callable[[], Job[T]]) -> Job[T]:
        """The answer, cached in proportion to its cost: see ``SHARE``."""
        kept = self._kept.get(key)
        if kept is not None and clock.monotonic() < kept.until:
            answer: T = kept.answer
            return answer
        began = clock.thread_time()
        answer = yield from work()
        cost = clock.thread_time() - began
        self._kept.pop(key, None)
        if cost >= EXPENSIVE:
            while len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = _Kept(clock.monotonic() + SHARE * cost, answer)
        return answer


def known(task: object) -> dict[str, Any]:
    """What the registry knows of a task, by field name, without reading the task."""
    parent, chunk = futures.lineage_of(task), futures.chunk_of(task)
    return {
        "serial": futures.serial_of(task) or 0,
        "coroutine": chunk.site.site.coroutine if chunk is not None else stacks.coroutine_of(task),
        "site": chunk.site.id if chunk is not None else NO_SITE,
        "parent": parent.serial if parent is not None else 0,
        "orphan": parent is not None and not parent.live,
        "birth": futures.birth_of(task),
    }


def _has_ended(entry: Entry) -> bool:
    task = entry[1]()
    return task is None or futures.is_done(task)


def _matches(task: object, query: requests.Tasks, waiting: groups.Waiting) -> bool:
    if task is None or futures.is_done(task):
        return False
    lineage = futures.lineage_of(task)
    if query.parent is not None and (lineage.serial if lineage is not None else 0) != query.parent:
        return False
    return query.parked is None or waiting.key_of(task) == query.parked


def _live(records: list[SiteRecord]) -> Job[int]:
    total = 0
    for record in records:
        total += record.live
        if spent():
            yield
    return total


def ancestors(lineage: Lineage | None) -> tuple[model.Ancestor, ...]:
    """The chain of parents, nearest first."""
    found = []
    while lineage is not None:
        record = lineage.chunk.site if lineage.chunk is not None else None
        found.append(
            model.Ancestor(
                lineage.serial,
                record.id if record is not None else NO_SITE,
                lineage.name,
                record.site.coroutine if record is not None else "",
                lineage.live,
            )
        )
        lineage = lineage.parent
    return tuple(found)
