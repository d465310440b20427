"""Sites that start many tasks while the loops are looked at, and whether anything comes of these tasks.

What they work on is compared from one generation to the next, with what the task works on that starts them.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from taskscope import model
from taskscope.agent.inspect import futures, reached, stacks
from taskscope.agent.inspect.looking import innermost, module_of, text
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.counts.site_record import Lineage, SiteRecord
    from taskscope.agent.inspect.reached import Reached
    from taskscope.agent.inspect.rearming import Queued
    from taskscope.agent.inspect.walk import Job

BEFORE = 20
"""Looks during which the births of all sites are counted: those with half as many, or more, are followed."""

MOST = 3
"""Sites followed, of thousands."""

EVERY = 10
"""What tasks work on is read on every tenth look."""

ENOUGH = 5
"""Comparisons below which nothing is known of what changes: a crowded machine may leave no time for them."""

ANCESTORS = 4
"""Parents of the newest task that are read: they come and go as well, up to one that stays."""

_INTERNAL = (
    "base_events",
    "futures",
    "locks",
    "queues",
    "runners",
    "taskgroups",
    "tasks",
    "timeouts",
)
"""Modules of asyncio whose callbacks merely pass on that a task has ended, or its time is over."""


class Followed:
    """One site.  Weak references only.  ``within``: a task of another such site starts them."""

    def __init__(self, record: SiteRecord) -> None:
        self.record = record
        self.loop = self.parent = 0
        self.chain = self.within = self.changes = self.counts = False
        self.compared = 0
        self.whole = True
        self.function = ""
        self._known: dict[tuple[int, ...], Reached] = {}

    def see(self, others: Collection[SiteRecord]) -> set[int]:
        """One look at the newest task; the serials of what starts these.  ``others``: followed too."""
        task = _newest(self.record)
        if task is None or futures.is_done(task):
            return set()
        self.loop = id(futures.loop_of(task))
        lineage = futures.lineage_of(task)
        self.chain = lineage is not None and lineage.chunk is not None and lineage.chunk.site is self.record
        self._compare(task, stays=False)
        del task
        self.whole = self.whole and lineage is not None
        serials: set[int] = set()
        for _ in range(ANCESTORS):
            parent = _task_of(lineage)
            if lineage is None or parent is None:
                break
            if not serials:
                self.within = lineage.chunk is not None and lineage.chunk.site in others and not self.chain
                self.parent, self.function = lineage.serial, stacks.coroutine_of(parent)
            serials.add(lineage.serial)
            self._compare(parent, stays=True)
            lineage = futures.lineage_of(parent)
            del parent
        return serials

    def _compare(self, task: object, *, stays: bool) -> None:
        if self.changes or reached.is_running(task):
            return
        place = reached.place_of(task)
        state, before = reached.reached(task, stays=stays), self._known.get(place)
        if before is not None:
            self.compared += 1
            self.counts = self.counts or state.numbers != before.numbers
            self.changes = self.changes or state.others != before.others
        self.whole = self.whole and state.whole
        self._known[place] = state


class Starts:
    """All sites of this process, over the looks of one answer."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._before: dict[int, int] = {}
        self._looks = 0
        self._followed: list[Followed] = []
        self._parents: set[int] = set()
        self._ended: dict[int, tuple[int, int]] = {}

    def begin(self) -> Job[None]:
        for record in self._registry.task_records():
            self._before[record.id] = record.born
            self._ended[record.id] = _ends(record)
            if spent():
                yield

    def look(self) -> Job[None]:
        self._looks += 1
        if self._looks >= BEFORE and self._looks % EVERY == 0:
            if not self._followed:
                yield from self._choose()
            records = [each.record for each in self._followed]
            for each in self._followed:
                self._parents |= each.see(records)
                yield

    def _choose(self) -> Job[None]:
        found: list[tuple[int, SiteRecord]] = []
        for record in self._registry.task_records():
            births = record.born - self._before.get(record.id, 0)
            if births >= max(self._looks // 2, record.live):
                found.append((births, record))
            if spent():
                yield
        found.sort(key=lambda each: -each[0])
        self._followed = [Followed(record) for _, record in found[:MOST]]

    def knows(self, queued: Iterable[Queued]) -> bool | None:
        """Whether all of a loop's callbacks belong to tasks of these sites; None: it is too early to tell."""
        if not self._followed or not all(each.loop for each in self._followed):
            return None
        records = [each.record for each in self._followed]
        return all(self._belongs(each, records) for each in queued)

    def _belongs(self, queued: Queued, records: list[SiteRecord]) -> bool:
        if queued.task is None:
            return _is_internal(queued.callback)
        chunk = futures.chunk_of(queued.task)
        by_site = chunk is None or chunk.site in records  # it has none while it is being created
        return by_site or (futures.serial_of(queued.task) or 0) in self._parents

    def described(self, loop: int, others: int, looks: int) -> tuple[model.Starting, ...]:
        """Those of one loop, by its number."""
        found = []
        for each in self._followed:
            record = each.record
            births = record.born - self._before.get(record.id, 0)
            if each.loop == loop and births and not each.within:
                before, now = self._ended.get(record.id, (0, 0)), _ends(record)
                found.append(
                    model.Starting(
                        record.id,
                        births,
                        now[0] - before[0],
                        now[1] - before[1],
                        each.chain,
                        each.parent,
                        each.function,
                        each.changes,
                        each.counts,
                        each.whole and each.compared >= ENOUGH,
                        others,
                        looks,
                    )
                )
        return tuple(found)


def _ends(record: SiteRecord) -> tuple[int, int]:
    """How many of its tasks have returned, and how many failed or were cancelled."""
    return record.finished, record.failed + record.cancelled


def _newest(record: SiteRecord) -> Any:
    chunk = record.chunk
    try:
        reference = next(reversed(chunk.values()), None) if chunk is not None else None
    except RuntimeError:  # it changed meanwhile
        return None
    return reference() if reference is not None else None


def _task_of(lineage: Lineage | None) -> Any:
    """The task, if it still lives."""
    if lineage is None or lineage.chunk is None:
        return None
    reference = lineage.chunk.get(lineage.serial)
    return reference() if reference is not None else None


def _is_internal(callback: object) -> bool:
    """Whether asyncio queues it for the sake of tasks and their waits, rather than for data that came."""
    inner = innermost(callback)
    if type(inner) is FunctionType:
        package, _, name = text(inner.__module__).rpartition(".")
        return package == "asyncio" and name in _INTERNAL
    return module_of(type(inner)) == "_asyncio"
