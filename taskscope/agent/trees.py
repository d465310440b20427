"""Task trees, one level at a time: by parent, and by who waits for whom.

Siblings of one site are folded into one group, so that a level of 300,000 children is one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent import awaiting
from taskscope.agent.groups import earlier
from taskscope.agent.walk import live_tasks

if TYPE_CHECKING:
    from taskscope.agent.registry import SiteRecord
    from taskscope.agent.walk import Job

FIRST_SERIALS = 50
"""Members of a group named at once; more are asked for as pages of tasks."""


def by_parent(records: list[SiteRecord], of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """Children of ``of``.  Roots are tasks without a parent, and ended parents as ghosts.

    Grandchildren are counted for the group of their parent through what they remember of it.
    """
    level = of or 0
    members: dict[object, _Tally] = {}
    for task in live_tasks(records):
        if task is None:
            yield
            continue
        lineage = task._taskscope_parent
        parent = lineage.serial if lineage is not None else 0
        if parent == level:
            record = task._taskscope_chunk.site
            _tally(members, record).add(task._taskscope_serial, task._taskscope_birth)
        elif lineage is not None and lineage.chunk is not None:
            above = lineage.parent
            if lineage.live:
                if (above.serial if above is not None else 0) == level:
                    _tally(members, lineage.chunk.site).children += 1
            elif not level:
                ghost = _tally(members, lineage.chunk.site, ended=True)
                ghost.children += 1
                ghost.add(lineage.serial, None)
    return _groups(members)


def by_await(records: list[SiteRecord], of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """What ``of`` waits for; roots are tasks that nobody waits for, and one of each cycle.

    Only tasks that wait for tasks are remembered one by one; the others are counted.
    """
    members: dict[object, _Tally] = {}
    edges: dict[int, list[int]] = {}
    nodes: dict[int, tuple[SiteRecord, float | None]] = {}
    for task in live_tasks(records):
        if task is None:
            yield
            continue
        serial = task._taskscope_serial
        targets = [each for each in awaiting.waited_tasks(task) if hasattr(each, "_taskscope_chunk")]
        if targets:
            edges[serial] = [each._taskscope_serial for each in targets]
            nodes[serial] = (task._taskscope_chunk.site, task._taskscope_birth)
            nodes.update(
                {
                    each._taskscope_serial: (each._taskscope_chunk.site, each._taskscope_birth)
                    for each in targets
                }
            )
        elif of is None and not awaiting.awaiting_tasks(task):
            _tally(members, task._taskscope_chunk.site).add(serial, task._taskscope_birth)
        del targets
    chosen = _await_roots(edges) if of is None else dict.fromkeys(edges.get(of, ()), False)
    for serial, cycle in chosen.items():
        record, birth = nodes[serial]
        tally = _tally(members, record, cycle=cycle)
        tally.add(serial, birth)
        tally.children += len(edges.get(serial, ()))
    return _groups(members)


def _await_roots(edges: dict[int, list[int]]) -> dict[int, bool]:
    """Serial of a waiting task → whether it stands for a cycle that nothing outside waits for."""
    awaited = {target for targets in edges.values() for target in targets}
    roots = {serial: False for serial in edges if serial not in awaited}
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
    for serial in edges:
        if serial not in reached:
            roots[serial] = True
            reach(serial)
    return roots


class _Tally:
    """Siblings of one site.  Of ghosts each is counted once, however many children it has."""

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
