"""Answers to requests about tasks.

Every one is a job (see ``walk``): a generator that pauses, and returns a model value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent import awaiting, clues, groups, holders, stacks, trees
from taskscope.agent.walk import live_tasks, merged, spent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from taskscope.agent.loops import LoopWatch
    from taskscope.agent.registry import Lineage, Registry, SiteRecord
    from taskscope.agent.walk import Job

MAX_PAGE = 1_000
"""Rows of one page: about 12 ms for the client to read."""

NO_SITE = 0


MAX_RELATED = 100
"""Tasks named as waiting for, awaiting, or holding the lock of, another one."""


class NotFoundError(LookupError):
    """No such task, site or thread (any more), in a sentence."""


class Queries:
    """Reads the registry for the server."""

    def __init__(self, registry: Registry, watch: LoopWatch) -> None:
        self._registry = registry
        self._watch = watch

    # -- one task as a value -------------------------------------------------------------------

    def row(self, task: Any) -> model.Task:
        values, frames, shape = self.values(task)
        parked = stacks.parked(task, frames, shape) if not task.done() else None
        return model.Task(**values, parked=parked)

    def values(self, task: Any) -> tuple[dict[str, Any], list[FrameType], stacks.Shape]:
        """All of a task but where it is parked, by field name; and the frames that tell that."""
        frames = stacks.await_chain(task.get_coro())
        parent: Lineage | None = getattr(task, "_taskscope_parent", None)
        chunk = getattr(task, "_taskscope_chunk", None)
        values = {
            "serial": getattr(task, "_taskscope_serial", 0),
            "name": task.get_name() if hasattr(task, "get_name") else "",
            "coroutine": chunk.site.site.coroutine if chunk is not None else stacks.coroutine_of(task),
            "state": stacks.state_of(task),
            "site": chunk.site.id if chunk is not None else NO_SITE,
            "parent": parent.serial if parent is not None else 0,
            "orphan": parent is not None and not parent.live,
            "loop": self._watch.id_of(task.get_loop()),
            "birth": getattr(task, "_taskscope_birth", None),
            "cancelling": task.cancelling() if hasattr(task, "cancelling") else 0,
        }
        return values, frames, stacks.shape_of(frames)

    def _records(self, sites: Sequence[int] | None) -> list[SiteRecord]:
        if sites is None:
            return self._registry.task_records()
        known = (self._registry.by_id.get(site) for site in sites)
        return [record for record in known if record is not None and record.site.kind == "task"]

    # -- pages ---------------------------------------------------------------------------------

    def tasks(
        self,
        sites: Sequence[int] | None = None,
        parent: int | None = None,
        parked: str | None = None,
        order: str = "oldest",
        after: int | None = None,
        limit: int = 200,
    ) -> Job[model.TaskPage]:
        records = self._records(sites)
        limit = max(1, min(int(limit), MAX_PAGE))
        plain = parent is None and parked is None
        serials, total = (
            (yield from self._some(records, order, after, limit + 1))
            if plain
            else (yield from self._matching(records, parent, parked, order, after, limit + 1))
        )
        rows = []
        for serial in serials[:limit]:
            task = self._find(records, serial)
            if task is not None and not task.done():
                rows.append(self.row(task))
            del task
            if spent():
                yield
        more = serials[limit - 1] if len(serials) > limit else None
        return model.TaskPage(tuple(rows), total, more)

    def _find(self, records: list[SiteRecord], serial: int) -> Any | None:
        for record in records:
            for chunk in list(record.chunks):
                reference = chunk.get(serial)
                if reference is not None:
                    return reference()
        return None

    def _some(
        self, records: list[SiteRecord], order: str, after: int | None, limit: int
    ) -> Job[tuple[list[int], int]]:
        """Serials of the next ``limit`` tasks.  Whole chunks before the cursor are passed over by a look
        at one of their serials, so that a page deep inside 300,000 tasks costs no more than the first.
        """
        newest = order == "newest"
        found: list[int] = []
        for record in records:
            taken = 0
            chunks = list(record.chunks)
            for index, chunk in enumerate(reversed(chunks) if newest else chunks):
                if taken >= limit:
                    break
                if after is not None and not newest and index + 1 < len(chunks):
                    following = next(iter(list(chunks[index + 1])[:1]), None)
                    if following is not None and following <= after:
                        continue
                serials = list(chunk)
                if after is not None:
                    serials = [s for s in serials if (s < after if newest else s > after)]
                if newest:
                    serials.reverse()
                found.extend(serials[:limit])
                taken += len(serials[:limit])
                if spent():
                    yield
        found.sort(reverse=newest)
        return found[:limit], sum(record.counts().live for record in records)

    def _matching(
        self,
        records: list[SiteRecord],
        parent: int | None,
        parked: str | None,
        order: str,
        after: int | None,
        limit: int,
    ) -> Job[tuple[list[int], int]]:
        serials: list[int] = []
        for task in merged(self._registry, records):
            if task is None:
                yield
                continue
            lineage = getattr(task, "_taskscope_parent", None)
            if parent is not None and (lineage.serial if lineage is not None else 0) != parent:
                continue
            if (
                parked is not None
                and groups.parked_key(stacks.parked(task, stacks.await_chain(task.get_coro()))) != parked
            ):
                continue
            serials.append(task._taskscope_serial)
        total = len(serials)
        if order == "newest":
            serials.reverse()
        if after is not None:
            serials = [s for s in serials if (s < after if order == "newest" else s > after)]
        return serials[:limit], total

    # -- one task, one site --------------------------------------------------------------------

    def task(self, serial: int) -> Job[model.TaskDetail]:
        task = self._registry.find(serial)
        if task is None:
            raise NotFoundError(f"task {serial} is no more")
        chunk = task._taskscope_chunk
        lineage: Lineage | None = task._taskscope_parent
        parent_serial = lineage.serial if lineage is not None else 0
        exact = self._stack_of(chunk.site, serial)
        row = self.row(task)
        stack = stacks.describe(stacks.await_chain(task.get_coro()))
        waits_for = tuple(self.row(each) for each in awaiting.waited_tasks(task)[:MAX_RELATED])
        awaited_by = tuple(self.row(each) for each in awaiting.awaiting_tasks(task)[:MAX_RELATED])
        lock = clues.awaited_lock(task)
        search = holders.Search(task) if row.parked is not None and row.parked.wait == "future" else None
        del task
        held_by: list[model.Task] = []
        siblings = 0
        for other in live_tasks(self._registry.task_records()):
            if other is None:
                yield
                continue
            theirs = other._taskscope_parent
            if theirs is lineage or (theirs.serial if theirs is not None else 0) == parent_serial:
                siblings += 1
            if lock is not None and len(held_by) < MAX_RELATED and clues.holds(other, lock):
                held_by.append(self.row(other))
            if search is not None:
                search.look(other)
        creation = exact if exact is not None else self._any_stack(chunk.site)
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
        )

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

    def site(self, site: int) -> Job[model.SiteDetail]:
        record = self._registry.by_id.get(site)
        if record is None:
            raise NotFoundError(f"site {site} is not known")
        found = [
            model.CreationStack(serial, stacks.describe_raw(raw))
            for serial, raw in [*record.first_stacks, *record.last_stacks]
        ]
        yield
        return model.SiteDetail(record.site, site_counts(record), tuple(found))

    # -- what needs a walk ---------------------------------------------------------------------

    def ages(self, sites: Sequence[int] | None = None) -> Job[model.Ages]:
        return groups.ages(self._records(sites))

    def parked(self, sites: Sequence[int] | None = None) -> Job[tuple[model.ParkedGroup, ...]]:
        return groups.parked(self._records(sites))

    def groups(self, by: str) -> Job[tuple[model.Group, ...]]:
        return groups.grouped(self._registry.task_records(), by)

    def tree(self, by: str, of: int | None = None) -> Job[tuple[model.TreeGroup, ...]]:
        level = trees.by_await if by == "await" else trees.by_parent
        return level(self._registry.task_records(), of)


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


def site_counts(record: SiteRecord) -> model.SiteCounts:
    """Counters and the births of the oldest and the median task; looks at two tasks only."""
    return model.SiteCounts(
        record.id,
        record.counts(),
        _birth(record.first_reference()),
        _birth(record.middle_reference()),
        record.adopted,
        max(0, record.retained),
    )


def _birth(reference: Any) -> float | None:
    task = reference() if reference is not None else None
    return getattr(task, "_taskscope_birth", None)
