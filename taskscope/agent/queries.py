"""Answers to requests about tasks: pages, details, groups, trees.

Every one is a job (see ``walk``): a generator that pauses, and returns a model value.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent import stacks
from taskscope.agent.walk import live_tasks, merged, spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskscope.agent.loops import LoopWatch
    from taskscope.agent.registry import Lineage, Registry, SiteRecord
    from taskscope.agent.walk import Job

MAX_PAGE = 1_000
"""Rows of one page: about 12 ms for the client to read."""

AGE_EDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0, 172800.0)
FIRST_SERIALS = 5
NO_SITE = 0


class NotFoundError(LookupError):
    """No such task, site or thread (any more), in a sentence."""


class Queries:
    """Reads the registry for the server."""

    def __init__(self, registry: Registry, watch: LoopWatch) -> None:
        self._registry = registry
        self._watch = watch

    # -- one task as a value -------------------------------------------------------------------

    def row(self, task: Any) -> model.Task:
        frames = stacks.await_chain(task.get_coro())
        parent: Lineage | None = getattr(task, "_taskscope_parent", None)
        chunk = getattr(task, "_taskscope_chunk", None)
        return model.Task(
            serial=getattr(task, "_taskscope_serial", 0),
            name=task.get_name() if hasattr(task, "get_name") else "",
            coroutine=stacks.coroutine_of(task),
            state=stacks.state_of(task),
            site=chunk.site.id if chunk is not None else NO_SITE,
            parent=parent.serial if parent is not None else 0,
            orphan=parent is not None and not parent.live,
            loop=self._watch.id_of(task.get_loop()),
            birth=getattr(task, "_taskscope_birth", None),
            cancelling=task.cancelling() if hasattr(task, "cancelling") else 0,
            parked=stacks.parked(task, frames) if not task.done() else None,
        )

    def _records(self, sites: Sequence[int] | None) -> list[SiteRecord]:
        if sites is None:
            return self._registry.task_records()
        known = (self._registry.by_id.get(site) for site in sites)
        return [record for record in known if record is not None]

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
            if task is not None:
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
                and parked_key(stacks.parked(task, stacks.await_chain(task.get_coro()))) != parked
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
        waits_for = tuple(self.row(each) for each in stacks.waited_tasks(task)[:100])
        del task
        awaited_by: list[model.Task] = []
        siblings = 0
        for other in live_tasks(self._registry.task_records()):
            if other is None:
                yield
                continue
            theirs = other._taskscope_parent
            if (theirs.serial if theirs is not None else 0) == parent_serial:
                siblings += 1
            waiter = getattr(other, "_fut_waiter", None)
            if waiter is not None and len(awaited_by) < 100 and self._waits_for(other, serial):
                awaited_by.append(self.row(other))
        creation = exact if exact is not None else self._any_stack(chunk.site)
        return model.TaskDetail(
            row,
            stack,
            waits_for,
            tuple(awaited_by),
            ancestors(lineage),
            creation,
            exact is not None,
            max(0, siblings - 1),
        )

    @staticmethod
    def _waits_for(task: Any, serial: int) -> bool:
        return any(getattr(each, "_taskscope_serial", 0) == serial for each in stacks.waited_tasks(task))

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

    # -- groups --------------------------------------------------------------------------------

    def ages(self, sites: Sequence[int] | None = None) -> Job[model.Ages]:
        counts = [0] * (len(AGE_EDGES) + 1)
        unknown = 0
        now = time.monotonic()
        for task in live_tasks(self._records(sites)):
            if task is None:
                yield
                continue
            birth = task._taskscope_birth
            if birth is None:
                unknown += 1
                continue
            age = now - birth
            for index, edge in enumerate(AGE_EDGES):
                if age < edge:
                    counts[index] += 1
                    break
            else:
                counts[-1] += 1
        return model.Ages(AGE_EDGES, tuple(counts), unknown)

    def parked(self, sites: Sequence[int] | None = None) -> Job[tuple[model.ParkedGroup, ...]]:
        found: dict[str, _ParkedTally] = {}
        for task in live_tasks(self._records(sites)):
            if task is None:
                yield
                continue
            where = stacks.parked(task, stacks.await_chain(task.get_coro()))
            if where is not None:
                found.setdefault(parked_key(where), _ParkedTally(where)).add(task, where)
        groups = [tally.group(key) for key, tally in found.items()]
        return tuple(sorted(groups, key=lambda group: -group.live))

    def groups(self, by: str) -> Job[tuple[model.Group, ...]]:
        tallies: dict[str, _GroupTally] = {}
        for task in live_tasks(self._registry.task_records()):
            if task is None:
                yield
                continue
            key, label, frame = self._parent_key(task) if by == "parent" else self._place_key(task)
            tallies.setdefault(key, _GroupTally(label, frame)).add(task)
        groups = [tally.group(key) for key, tally in tallies.items()]
        return tuple(sorted(groups, key=lambda group: -group.live))

    def _parent_key(self, task: Any) -> tuple[str, str, model.Frame | None]:
        lineage = task._taskscope_parent
        if lineage is None or lineage.chunk is None:
            return "0", "(created outside any task)", None
        site = lineage.chunk.site.site
        return str(site.id), site.coroutine, site.frame

    def _place_key(self, task: Any) -> tuple[str, str, model.Frame | None]:
        where = stacks.parked(task, stacks.await_chain(task.get_coro()))
        if where is None:
            return "-", "(no frame)", None
        return parked_key(where), where.text, where.user_frame or where.frame

    # -- trees ---------------------------------------------------------------------------------

    def tree(self, by: str, of: int | None = None) -> Job[tuple[model.TreeGroup, ...]]:
        if by == "await":
            return (yield from self._await_tree(of))
        return (yield from self._parent_tree(of))

    def _parent_tree(self, of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
        """Children of ``of``.  Roots are tasks without a parent, and ended parents as ghosts."""
        members: dict[object, _TreeTally] = {}
        children: dict[int, int] = {}
        for task in live_tasks(self._registry.task_records()):
            if task is None:
                yield
                continue
            lineage = task._taskscope_parent
            parent = lineage.serial if lineage is not None else 0
            children[parent] = children.get(parent, 0) + 1
            if parent == (of or 0):
                record = task._taskscope_chunk.site
                members.setdefault(record.id, _TreeTally(record)).add(task)
            elif not of and lineage is not None and not lineage.live:
                self._add_ghost(members, lineage)
        return tuple(
            sorted(
                (tally.group(children) for tally in members.values()),
                key=lambda group: (-group.children, -group.live),
            )
        )

    def _add_ghost(self, members: dict[object, _TreeTally], lineage: Lineage) -> None:
        """An ended parent that stands at the root because its own parents have ended too."""
        record = lineage.chunk.site if lineage.chunk is not None else None
        if record is None:
            return
        tally = members.setdefault(("ghost", record.id), _TreeTally(record, ended=True))
        tally.add_serial(lineage.serial, None)

    def _await_tree(self, of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
        """What ``of`` waits for; roots are tasks that nobody waits for, and one of each cycle."""
        edges: dict[int, list[int]] = {}
        sites: dict[int, SiteRecord] = {}
        births: dict[int, float | None] = {}
        for task in live_tasks(self._registry.task_records()):
            if task is None:
                yield
                continue
            serial = task._taskscope_serial
            sites[serial] = task._taskscope_chunk.site
            births[serial] = task._taskscope_birth
            targets = [getattr(each, "_taskscope_serial", 0) for each in stacks.waited_tasks(task)]
            if targets:
                edges[serial] = [each for each in targets if each]
        roots = _await_roots(edges, sites) if of is None else dict.fromkeys(edges.get(of, ()), False)
        members: dict[object, _TreeTally] = {}
        for serial, cycle in roots.items():
            record = sites.get(serial)
            if record is not None:
                tally = members.setdefault((record.id, cycle), _TreeTally(record, cycle=cycle))
                tally.add_serial(serial, births.get(serial))
        children = {serial: len(targets) for serial, targets in edges.items()}
        return tuple(
            sorted(
                (tally.group(children) for tally in members.values()),
                key=lambda group: (-group.children, -group.live),
            )
        )


def _await_roots(edges: dict[int, list[int]], sites: dict[int, Any]) -> dict[int, bool]:
    """Serial → whether it stands for a cycle.  A cycle that nothing outside waits for has no root."""
    awaited = {target for targets in edges.values() for target in targets}
    roots = {serial: False for serial in sites if serial not in awaited}
    reached: set[int] = set()

    def reach(serial: int) -> None:
        pending = [serial]
        while pending:
            each = pending.pop()
            if each not in reached:
                reached.add(each)
                pending.extend(edges.get(each, ()))

    for serial in roots:
        reach(serial)
    for serial in sites:
        if serial not in reached:
            roots[serial] = True
            reach(serial)
    return roots


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


def parked_key(where: model.Parked | None) -> str:
    """Tells places apart: what is waited on, and the user's line (the innermost one if there is none)."""
    if where is None:
        return "-"
    frame = where.user_frame or where.frame
    return f"{where.wait}|{where.text}|{frame.file}:{frame.line}"


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


class _ParkedTally:
    def __init__(self, where: model.Parked) -> None:
        self.where = where
        self.live = 0
        self.oldest: float | None = None
        self.least: float | None = None
        self.most: float | None = None

    def add(self, task: Any, where: model.Parked) -> None:
        self.live += 1
        self.oldest = _earlier(self.oldest, task._taskscope_birth)
        if where.remaining is not None:
            self.least = where.remaining if self.least is None else min(self.least, where.remaining)
            self.most = where.remaining if self.most is None else max(self.most, where.remaining)

    def group(self, key: str) -> model.ParkedGroup:
        frame = self.where.user_frame or self.where.frame
        return model.ParkedGroup(
            key, frame, self.where.wait, self.where.text, self.live, self.oldest, self.least, self.most
        )


class _GroupTally:
    def __init__(self, label: str, frame: model.Frame | None) -> None:
        self.label = label
        self.frame = frame
        self.live = 0
        self.oldest: float | None = None
        self.sites: set[int] = set()

    def add(self, task: Any) -> None:
        self.live += 1
        self.oldest = _earlier(self.oldest, task._taskscope_birth)
        self.sites.add(task._taskscope_chunk.site.id)

    def group(self, key: str) -> model.Group:
        return model.Group(key, self.label, self.frame, self.live, self.oldest, tuple(sorted(self.sites)))


class _TreeTally:
    def __init__(self, record: SiteRecord, *, ended: bool = False, cycle: bool = False) -> None:
        self.record = record
        self.ended = ended
        self.cycle = cycle
        self.serials: set[int] = set()
        self.oldest: float | None = None

    def add(self, task: Any) -> None:
        self.add_serial(task._taskscope_serial, task._taskscope_birth)

    def add_serial(self, serial: int, birth: float | None) -> None:
        self.serials.add(serial)
        self.oldest = _earlier(self.oldest, birth)

    def group(self, children: dict[int, int]) -> model.TreeGroup:
        return model.TreeGroup(
            self.record.id,
            self.record.site.coroutine,
            0 if self.ended else len(self.serials),
            tuple(sorted(self.serials)[:FIRST_SERIALS]),
            sum(children.get(serial, 0) for serial in self.serials),
            self.oldest,
            self.ended,
            self.cycle,
        )


def _earlier(known: float | None, birth: float | None) -> float | None:
    if birth is None or (known is not None and known <= birth):
        return known
    return birth
