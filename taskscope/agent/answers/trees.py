"""Task trees, one level at a time: by parent, and by await.

Siblings of one site are folded into one group, so a level of 300,000 children is one line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.answers.groups import earlier
from taskscope.agent.inspect import awaiting
from taskscope.agent.inspect.futures import birth_of, chunk_of, lineage_of, serial_of
from taskscope.agent.inspect.walk import live_tasks, spent

if TYPE_CHECKING:
    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import Chunk, SiteRecord
    from taskscope.agent.inspect.walk import Job

FIRST_SERIALS = 50
"""Members listed per group; clients page through the rest."""


def by_parent(registry: Registry, of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """Children of ``of``.  Roots are tasks without a parent, and ended parents as ghosts.

    Grandchildren are counted under their parent's group through their lineage.
    """
    level = of or 0
    members: dict[object, _Tally] = {}
    for task in live_tasks(registry.task_records()):
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
    return (yield from _groups(members))


def by_await(registry: Registry, of: int | None) -> Job[tuple[model.TreeGroup, ...]]:
    """What ``of`` waits for; roots are tasks that nothing awaits, and one of each cycle."""
    return _roots(registry) if of is None else _awaited_by(registry, of)


def _awaited_by(registry: Registry, of: int) -> Job[tuple[model.TreeGroup, ...]]:
    members: dict[object, _Tally] = {}
    for serial, chunk in _targets(registry.find(of)):
        reference = chunk.get(serial)
        task = reference() if reference is not None else None
        if task is not None:
            _tally(members, chunk.site).add(serial, birth_of(task), len(_targets(task)))
        del task
        if spent():
            yield
    return (yield from _groups(members))


def _roots(registry: Registry) -> Job[tuple[model.TreeGroup, ...]]:
    """Only tasks that wait for others and are awaited are kept one by one: cycles consist of them.

    Something kept for each task that waits would set off the garbage collector in the middle of a slice.
    """
    members: dict[object, _Tally] = {}
    edges: dict[int, tuple[int, ...]] = {}
    begin: set[int] = set()
    waited = awaiting.Waited()
    for task in live_tasks(registry.task_records()):
        if task is None:
            waited.pause()
            yield
            continue
        serial, chunk = serial_of(task), chunk_of(task)
        targets = [each for each, _ in _known(waited.of(task))]
        if serial is not None and chunk is not None:
            if not awaiting.is_awaited(task):
                _tally(members, chunk.site).add(serial, birth_of(task), len(targets))
                begin.update(targets)
            elif targets:
                edges[serial] = tuple(targets)
        del task
    for serial in (yield from _cycles(edges, begin)):
        task = registry.find(serial)
        chunk = chunk_of(task)
        if chunk is not None:
            _tally(members, chunk.site, cycle=True).add(serial, birth_of(task), len(_targets(task)))
        del task
        if spent():
            yield
    return (yield from _groups(members))


def _targets(task: object) -> list[tuple[int, Chunk]]:
    """The tasks it waits for."""
    return _known(awaiting.waited_tasks(task) if task is not None else [])


def _known(tasks: list[object]) -> list[tuple[int, Chunk]]:
    known = [(serial_of(each), chunk_of(each)) for each in tasks]
    return [(serial, chunk) for serial, chunk in known if serial is not None and chunk is not None]


def _cycles(edges: dict[int, tuple[int, ...]], begin: set[int]) -> Job[list[int]]:
    """One serial of each cycle that cannot be reached from ``begin``."""
    reached: set[int] = set()
    cycles: list[int] = []
    yield from _reach(list(begin), edges, reached)
    for serial in edges:
        if serial not in reached:
            cycles.append(serial)
            yield from _reach([serial], edges, reached)
        if spent():
            yield
    return cycles


def _reach(pending: list[int], edges: dict[int, tuple[int, ...]], reached: set[int]) -> Job[None]:
    """Adds to ``reached`` what can be reached from ``pending``."""
    while pending:
        each = pending.pop()
        if each not in reached:
            reached.add(each)
            pending += edges.get(each, ())
        if spent():
            yield


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

    def add(self, serial: int, birth: float | None, children: int = 0) -> None:
        self.live += 0 if self.ended else 1
        self.children += children
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


def _groups(members: dict[object, _Tally]) -> Job[tuple[model.TreeGroup, ...]]:
    groups = []
    for tally in members.values():
        if tally.live or tally.ended:
            groups.append(tally.group())
        if spent():
            yield
    return tuple(sorted(groups, key=lambda group: (-group.children, -group.live, group.site)))
