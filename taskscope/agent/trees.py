"""Task trees, one level at a time: by parent, and by who waits for whom.

Siblings of one site are folded into one group, so that a level of 300,000 children is one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent import stacks
from taskscope.agent.groups import earlier
from taskscope.agent.walk import live_tasks

if TYPE_CHECKING:
    from taskscope.agent.registry import Lineage, SiteRecord
    from taskscope.agent.walk import Job

FIRST_SERIALS = 50
"""Members of a group named at once; more are asked for as pages of tasks."""


def by_parent(records: list[SiteRecord], of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """Children of ``of``.  Roots are tasks without a parent, and ended parents as ghosts."""
    members: dict[object, _TreeTally] = {}
    children: dict[int, int] = {}
    for task in live_tasks(records):
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
            _add_ghost(members, lineage)
    return tuple(
        sorted(
            (tally.group(children) for tally in members.values()),
            key=lambda group: (-group.children, -group.live),
        )
    )


def _add_ghost(members: dict[object, _TreeTally], lineage: Lineage) -> None:
    """An ended parent that stands at the root because its own parents have ended too."""
    record = lineage.chunk.site if lineage.chunk is not None else None
    if record is None:
        return
    tally = members.setdefault(("ghost", record.id), _TreeTally(record, ended=True))
    tally.add_serial(lineage.serial, None)


def by_await(records: list[SiteRecord], of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """What ``of`` waits for; roots are tasks that nobody waits for, and one of each cycle."""
    edges: dict[int, list[int]] = {}
    sites: dict[int, SiteRecord] = {}
    births: dict[int, float | None] = {}
    for task in live_tasks(records):
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
        self.oldest = earlier(self.oldest, birth)

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
