"""Task trees, one level at a time: by parent, and by await.

Siblings of one site are folded into one group, so a level of 300,000 children is one line.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers.groups import earlier
from taskscope.agent.inspect import awaiting
from taskscope.agent.inspect.futures import birth_of, chunk_of, lineage_of, serial_of
from taskscope.agent.inspect.walk import live_tasks, spent

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import SiteRecord
    from taskscope.agent.inspect.walk import Job

FIRST_SERIALS = 50
"""Members listed per group; clients page through the rest."""


def by_parent(records: list[SiteRecord], of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """Children of ``of``.  Roots are tasks without a parent, and ended parents as ghosts.

    Grandchildren are counted under their parent's group through their lineage.
    """
    level = of or 0
    members: dict[object, _Tally] = {}
    for task in live_tasks(records):
        if task is None:
            yield
            continue
        chunk, lineage = chunk_of(task), lineage_of(task)
        parent = lineage.serial if lineage is not None else 0
        if parent == level:
            if chunk is not None:
                _tally(members, chunk.site).add(serial_of(task) or 0, birth_of(task))
        elif lineage is not None and lineage.chunk is not None:
            above = lineage.parent
            if lineage.live:
                if (above.serial if above is not None else 0) == level:
                    _tally(members, lineage.chunk.site).children += 1
            elif not level:
                ghost = _tally(members, lineage.chunk.site, ended=True)
                ghost.children += 1
                ghost.add(lineage.serial, None)
        del task
    return _groups(members)


def by_await(records: list[SiteRecord], of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """What ``of`` waits for; roots are tasks that nothing awaits, and one of each cycle.

    Only tasks that wait for tasks are tracked individually; the others are counted.
    """
    members: dict[object, _Tally] = {}
    edges: dict[int, list[int]] = {}
    nodes: dict[int, tuple[SiteRecord, float | None]] = {}
    for task in live_tasks(records):
        if task is None:
            yield
            continue
        known = _known(task)
        if known is None:
            continue
        serial, record, birth = known
        targets = [each for each in map(_known, awaiting.waited_tasks(task)) if each is not None]
        if targets:
            edges[serial] = [target for target, _, _ in targets]
            nodes[serial] = record, birth
            nodes.update({target: (theirs, since) for target, theirs, since in targets})
        elif of is None and not awaiting.is_awaited(task):
            _tally(members, record).add(serial, birth)
        del task
    chosen = (yield from _await_roots(edges)) if of is None else dict.fromkeys(edges.get(of, ()), False)
    for serial, cycle in chosen.items():
        record, birth = nodes[serial]
        tally = _tally(members, record, cycle=cycle)
        tally.add(serial, birth)
        tally.children += len(edges.get(serial, ()))
        if spent():
            yield
    return _groups(members)


def _known(task: object) -> tuple[int, SiteRecord, float | None] | None:
    """Serial, site and birth of a task; None if it is not in the registry."""
    chunk, serial = chunk_of(task), serial_of(task)
    return (serial, chunk.site, birth_of(task)) if chunk is not None and serial is not None else None


def _await_roots(edges: dict[int, list[int]]) -> Job[dict[int, bool]]:
    """Serials of root tasks → whether each represents a cycle that nothing outside awaits."""
    awaited: set[int] = set()
    for targets in edges.values():
        awaited.update(targets)
        if spent():
            yield
    roots: dict[int, bool] = {}
    reached: set[int] = set()
    for serial in chain((each for each in edges if each not in awaited), edges):
        if serial not in reached:
            roots[serial] = serial in awaited
            pending = [serial]
            while pending:
                each = pending.pop()
                if each not in reached:
                    reached.add(each)
                    pending.extend(edges.get(each, ()))
        if spent():
            yield
    return roots


class _Tally:
    """Siblings of one site.  Each ghost is counted once, however many children it has."""

    def __init__(self, record: SiteRecord, *, ended: bool, cycle: bool) -> None:
        self.record = record
        self.ended = ended
        self.cycle = cycle
        self.live = 0
        self.children = 0
        self.serials: dict[int, None] = {}
        self.oldest: float | None = None

    def add(self, serial: int, birth: float | None) -> None:
        self.live += 0 if self.ended else 1
        self.oldest = earlier(self.oldest, birth)
        if len(self.serials) < FIRST_SERIALS:
            self.serials[serial] = None

    def group(self) -> model.TreeGroup:
        return model.TreeGroup(
            self.record.id,
            self.record.site.coroutine,
            self.live,
            tuple(sorted(self.serials)),
            self.children,
            self.oldest,
            self.ended,
            self.cycle,
        )


def _tally(
    members: dict[object, _Tally], record: SiteRecord, *, ended: bool = False, cycle: bool = False
) -> _Tally:
    key = (record.id, ended, cycle)
    tally = members.get(key)
    if tally is None:
        tally = members[key] = _Tally(record, ended=ended, cycle=cycle)
    return tally


def _groups(members: dict[object, _Tally]) -> tuple[model.TreeGroup, ...]:
    groups = [tally.group() for tally in members.values() if tally.live or tally.ended]
    return tuple(sorted(groups, key=lambda group: (-group.children, -group.live, group.site)))
