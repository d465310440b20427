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
    from types import FrameType

    from taskscope.agent.counts.site_record import SiteRecord
    from taskscope.agent.inspect.walk import Job


_Place = tuple[str, str, "model.Frame | None"]
"""A key, a label and a line."""

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
    tallies: dict[str, _GroupTally] = {}
    waiting = Waiting()
    for task in live_tasks(records):
        if task is None:
            waiting.pause()
            yield
            continue
        place = _parent_key(task) if by == "parent" else waiting.place_of(task)
        if place is not None:
            key, label, frame = place
            tally = tallies.get(key)
            if tally is None:
                tally = tallies[key] = _GroupTally(label, frame)
            tally.add(task)
        del task
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
        shape, wait, frames = waiting.of(task)
        if shape.frame is None or wait is None:
            continue
        key = (id(shape), wait.wait, wait.text)
        tally = found.get(key)
        if tally is None:
            tally = found[key] = ParkedTally(
                model.Parked(shape.frame, shape.user, wait.wait, wait.text), shape
            )
        asleep = wait.wait == "sleep" and shape.known is not None and shape.known.timed
        tally.add(task, waits.sleep_left(task, frames[0]) if asleep else None)
        del task, frames
    merged: dict[str, ParkedTally] = {}
    for tally in found.values():
        merged.setdefault(parked_key(tally.where), ParkedTally(tally.where)).merge(tally)
    return merged


def _parent_key(task: object) -> _Place:
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
    """What tasks wait for, without details of single ones.

    Tasks in one primitive at one line wait alike, which is described once; so do most that wait for bare
    futures.  Thousands may wait for one future: it is described once per slice.
    """

    def __init__(self) -> None:
        self._alike: dict[int, tuple[stacks.Shape, waits.Wait]] = {}
        self._described: dict[tuple[int, int], tuple[object, waits.Wait]] = {}
        self._places: dict[tuple[int, str, str], tuple[stacks.Shape, _Place]] = {}

    def pause(self) -> None:
        """Forgets the futures of this slice."""
        self._described.clear()

    def of(self, task: object) -> tuple[stacks.Shape, waits.Wait | None, list[FrameType]]:
        """The shape of its await chain, what it waits for (None if it has no frame left), and the frames."""
        frames = stacks.await_chain(futures.coroutine(task))
        shape = stacks.shape_of(frames)
        if shape.frame is None:
            return shape, None, frames
        waiter = futures.waiter_of(task)
        if waiter is None:
            return shape, waits.describe(task, frames, shape.known, detailed=False), frames
        alike = self._alike.get(id(shape))
        if alike is not None:
            return *alike, frames
        known = self._described.get((id(waiter), id(shape)))
        if known is None:
            bare = shape.is_bare(waiter)
            wait = waits.BARE if bare else waits.describe(task, frames, shape.known, detailed=False)
            known = waiter, wait
            self._described[id(waiter), id(shape)] = known
            if shape.known is not None:
                self._alike[id(shape)] = shape, known[1]
        return shape, known[1], frames

    def key_of(self, task: object) -> str:
        """The ``parked_key`` of a task; cheaper than a full row."""
        place = self.place_of(task)
        return place[0] if place is not None else parked_key(None)

    def place_of(self, task: object) -> _Place | None:
        """The ``parked_key`` of a task, what it waits for, and the line; None if it has no frame left."""
        shape, wait, _ = self.of(task)
        if shape.frame is None or wait is None:
            return None
        known = self._places.get((id(shape), wait.wait, wait.text))
        if known is None:
            where = model.Parked(shape.frame, shape.user, wait.wait, wait.text)
            place = parked_key(where), wait.text, shape.user or shape.frame
            known = self._places[id(shape), wait.wait, wait.text] = shape, place
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

    def add(self, task: object, remaining: float | None) -> None:
        """``remaining``: seconds of its sleep."""
        lineage = futures.lineage_of(task)
        self.live += 1
        self.cancelling += task_facts.is_cancelling(task)
        self.orphans += lineage is not None and not lineage.live
        self.oldest = earlier(self.oldest, futures.birth_of(task))
        if remaining is not None:
            self._extend(remaining, remaining)

    def merge(self, other: ParkedTally) -> None:
        self.live += other.live
        self.cancelling += other.cancelling
        self.orphans += other.orphans
        self.oldest = earlier(self.oldest, other.oldest)
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
