"""The objects that tasks of one site share: what they wait on, and whose methods they run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import task_facts
from taskscope.agent.inspect.island import OwnRef
from taskscope.agent.inspect.looking import attribute, class_name, number, size

if TYPE_CHECKING:
    from taskscope.model.vocabulary import Wait

LOCKS: tuple[Wait, ...] = ("lock", "semaphore")

MOST_CANCELLED = 3
"""Objects remembered that cancelled tasks wait on."""


class _Bound:
    """An object shared by several tasks.  Holds no reference: its id is used within one request only."""

    __slots__ = ("arguments", "name", "runs")

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = 0
        self.arguments: dict[tuple[int, ...], int] = {}


class _Waited:
    """An object that several tasks wait on; ``inside``: references held by these tasks."""

    __slots__ = ("inside", "seen", "waiters")

    def __init__(self) -> None:
        self.inside = 0
        self.waiters = 0
        self.seen: model.WaitObject | None = None


class Shared:
    """``lock``: one that some wait for; ``putter``: a task that waits for room in a queue; ``of_cancelled``:
    some of what cancelled tasks wait on.
    """

    def __init__(self) -> None:
        self.bound: dict[int, _Bound] = {}
        self.waits: dict[int, _Waited] = {}
        self.lock: OwnRef | None = None
        self.putter: OwnRef | None = None
        self.of_cancelled: list[OwnRef] = []

    def add_owner(self, chain: list[object]) -> None:
        """Counts the ``self`` of the outermost method."""
        bound = task_facts.bound_object(chain)
        if bound is not None:
            owner, arguments = bound
            run = self.bound.setdefault(id(owner), _Bound(class_name(owner)))
            run.runs += 1
            run.arguments[arguments] = run.arguments.get(arguments, 0) + 1

    def add_waited(self, task: object, chain: list[object], wait: Wait, *, cancelled: bool) -> None:
        """Counts what a task waits on."""
        probe = object()
        thing = task_facts.waited_object(task, chain)
        if thing is None:
            return
        waited = self.waits.setdefault(id(thing), _Waited())
        waited.waiters += 1
        waited.inside += task_facts.references_in(task, chain, thing)
        outside = sys.getrefcount(thing) - sys.getrefcount(probe) - waited.inside
        waited.seen = _wait_object(thing, wait, waited.waiters, max(0, outside))
        if wait == "queue.put" and self.putter is None:
            self.putter = OwnRef(task)
        if wait in LOCKS and self.lock is None:
            self.lock = _reference(thing)
        if cancelled and len(self.of_cancelled) < MOST_CANCELLED and (known := _reference(thing)) is not None:
            self.of_cancelled.append(known)

    @property
    def reachable(self) -> bool:
        """Whether anything else refers to an object that tasks wait on."""
        return any(each.seen is not None and each.seen.outside for each in self.waits.values())

    def owners(self, most: int) -> tuple[model.Bound, ...]:
        """Those that most tasks run on."""
        bound = sorted(self.bound.values(), key=lambda each: -each.runs)[:most]
        return tuple(model.Bound(each.name, each.runs, max(each.arguments.values())) for each in bound)

    def things(self, most: int) -> tuple[model.WaitObject, ...]:
        """Those that most tasks wait on."""
        waits = sorted(self.waits.values(), key=lambda each: -each.waiters)[:most]
        return tuple(each.seen for each in waits if each.seen is not None)


def _reference(thing: object) -> OwnRef | None:
    try:
        return OwnRef(thing)
    except TypeError:
        return None


def _wait_object(thing: object, wait: Wait, waiters: int, outside: int) -> model.WaitObject:
    """Sizes are read from asyncio's own queue attributes; other objects have none."""
    getters = size(attribute(thing, "_getters"))
    queued = size(attribute(thing, "_queue")) if getters is not None else None
    if queued is None:
        return model.WaitObject(wait, class_name(thing), waiters, outside=outside)
    return model.WaitObject(
        wait,
        class_name(thing),
        waiters,
        queued,
        number(attribute(thing, "_maxsize")),
        getters,
        size(attribute(thing, "_putters")),
        outside,
    )
