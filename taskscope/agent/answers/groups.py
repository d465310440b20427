"""Live tasks counted by age, parked place or parent's site: each needs a walk."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, TypeVar

from taskscope import model
from taskscope.agent.inspect import futures, stacks, task_facts, waits
from taskscope.agent.inspect.walk import live_tasks
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taskscope.agent.counts.registry import SiteRecord
    from taskscope.agent.inspect.walk import Job


AnyGroup = TypeVar("AnyGroup", model.Group, model.ParkedGroup)


def ages(records: list[SiteRecord]) -> Job[model.Ages]:
    counts = [0] * (len(model.AGE_EDGES) + 1)
    unknown = 0
    now = clock.monotonic()
    for task in live_tasks(records):
        if task is None:
            yield
            continue
        birth = futures.birth_of(task)
        if birth is None:
            unknown += 1
        else:
            counts[bisect_right(model.AGE_EDGES, now - birth)] += 1
    return model.Ages(model.AGE_EDGES, tuple(counts), unknown)


def parked(records: list[SiteRecord]) -> Job[tuple[model.ParkedGroup, ...]]:
    places = yield from _places(records)
    return _most_first(tally.parked(key) for key, tally in places.items())


def grouped(records: list[SiteRecord], by: str) -> Job[tuple[model.Group, ...]]:
    if by != "parent":
        places = yield from _places(records)
        return _most_first(tally.group(key) for key, tally in places.items())
    tallies: dict[str, _GroupTally] = {}
    for task in live_tasks(records):
        if task is None:
            yield
            continue
        key, label, frame = _parent_key(task)
        tallies.setdefault(key, _GroupTally(label, frame)).add(task)
    return _most_first(tally.group(key) for key, tally in tallies.items())


def _most_first(groups: Iterable[AnyGroup]) -> tuple[AnyGroup, ...]:
    return tuple(sorted(groups, key=lambda group: -group.live))


def _places(records: list[SiteRecord]) -> Job[dict[str, ParkedTally]]:
    """Groups tasks by shape and wait, then merges the groups by line."""
    found: dict[tuple[int, str, str], ParkedTally] = {}
    waiting = Waiting()
    for task in live_tasks(records):
        if task is None:
            waiting.pause()
            yield
            continue
        shape, wait = waiting.of(task)
        if shape.frame is None or wait is None:
            continue
        key = (id(shape), wait.wait, wait.text)
        tally = found.get(key)
        if tally is None:
            tally = found[key] = ParkedTally(
                model.Parked(shape.frame, shape.user, wait.wait, wait.text), shape
            )
        tally.add(task, wait)
        del task
    merged: dict[str, ParkedTally] = {}
    for tally in found.values():
        merged.setdefault(parked_key(tally.where), ParkedTally(tally.where)).merge(tally)
    return merged


def _parent_key(task: object) -> tuple[str, str, model.Frame | None]:
    lineage = futures.lineage_of(task)
    if lineage is None and futures.has_unknown_parent(task):
        return "?", "(before the agent)", None
    if lineage is None:
        return "0", "(created outside any task)", None
    if lineage.chunk is None:
        return "-", "(by a task that was not recorded)", None
    site = lineage.chunk.site.site
    return str(site.id), site.coroutine, site.frame


class Waiting:
    """What tasks wait for.  Thousands may wait for one future, which is described once per slice."""

    def __init__(self) -> None:
        self._described: dict[tuple[int, int], tuple[object, waits.Wait]] = {}
        self._keys: dict[tuple[int, str, str], tuple[stacks.Shape, str]] = {}

    def pause(self) -> None:
        """Forgets the futures of this slice."""
        self._described.clear()

    def of(self, task: object) -> tuple[stacks.Shape, waits.Wait | None]:
        """The shape of its await chain, and what it waits for; None if it has no frame left."""
        frames = stacks.await_chain(futures.coroutine(task))
        shape = stacks.shape_of(frames)
        if shape.frame is None:
            return shape, None
        waiter = futures.waiter_of(task)
        known = self._described.get((id(waiter), id(shape)))
        if known is None or waiter is None:
            known = waiter, waits.describe(task, frames, shape.known, detailed=False)
            self._described[id(waiter), id(shape)] = known
        return shape, known[1]

    def key_of(self, task: object) -> str:
        """The ``parked_key`` of a task; cheaper than a full row."""
        shape, wait = self.of(task)
        if shape.frame is None or wait is None:
            return parked_key(None)
        known = self._keys.get((id(shape), wait.wait, wait.text))
        if known is None:
            key = parked_key(model.Parked(shape.frame, shape.user, wait.wait, wait.text))
            known = self._keys[id(shape), wait.wait, wait.text] = shape, key
        return known[1]


def parked_key(where: model.Parked | None) -> str:
    """Identifies a place by what is waited on and the user's line (else the innermost)."""
    if where is None:
        return "-"
    frame = where.user_frame or where.frame
    return f"{where.wait}|{where.text}|{frame.file}:{frame.line}"


class ParkedTally:
    """Counts tasks parked at one place; keeps ``shape`` alive so that its id is not reused."""

    def __init__(self, where: model.Parked, shape: stacks.Shape | None = None) -> None:
        self.where = where
        self.shape = shape
        self.live = 0
        self.cancelling = self.orphans = 0
        self.oldest: float | None = None
        self.least: float | None = None
        self.most: float | None = None
        self.sites: set[int] = set()

    def add(self, task: object, wait: model.Parked | waits.Wait) -> None:
        lineage = futures.lineage_of(task)
        self.live += 1
        self.cancelling += task_facts.is_cancelling(task)
        self.orphans += lineage is not None and not lineage.live
        self.oldest = earlier(self.oldest, futures.birth_of(task))
        chunk = futures.chunk_of(task)
        if chunk is not None:
            self.sites.add(chunk.site.id)
        if wait.remaining is not None:
            self._extend(wait.remaining, wait.remaining)

    def merge(self, other: ParkedTally) -> None:
        self.live += other.live
        self.cancelling += other.cancelling
        self.orphans += other.orphans
        self.oldest = earlier(self.oldest, other.oldest)
        self.sites |= other.sites
        self._extend(other.least, other.most)

    def _extend(self, least: float | None, most: float | None) -> None:
        if least is not None and (self.least is None or least < self.least):
            self.least = least
        if most is not None and (self.most is None or most > self.most):
            self.most = most

    def parked(self, key: str) -> model.ParkedGroup:
        frame = self.where.user_frame or self.where.frame
        return model.ParkedGroup(
            key,
            frame,
            self.where.wait,
            self.where.text,
            self.live,
            self.oldest,
            self.least,
            self.most,
            self.cancelling,
            self.orphans,
        )

    def group(self, key: str) -> model.Group:
        frame = self.where.user_frame or self.where.frame
        return model.Group(key, self.where.text, frame, self.live, self.oldest, tuple(sorted(self.sites)))


class _GroupTally:
    def __init__(self, label: str, frame: model.Frame | None) -> None:
        self.label = label
        self.frame = frame
        self.live = 0
        self.oldest: float | None = None
        self.sites: set[int] = set()

    def add(self, task: object) -> None:
        self.live += 1
        self.oldest = earlier(self.oldest, futures.birth_of(task))
        chunk = futures.chunk_of(task)
        if chunk is not None:
            self.sites.add(chunk.site.id)

    def group(self, key: str) -> model.Group:
        return model.Group(key, self.label, self.frame, self.live, self.oldest, tuple(sorted(self.sites)))


def earlier(known: float | None, birth: float | None) -> float | None:
    if birth is None or (known is not None and known <= birth):
        return known
    return birth
