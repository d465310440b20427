"""Locks, conditions, semaphores, events, barriers and queues that somebody waits for, as rows of resources.

Those of a kind that are waited for at one line make one row.  Nothing is kept of them: across a pause they
are told apart by ``id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import futures, holdings, stacks
from taskscope.agent.inspect.looking import class_name
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import live_tasks, spent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Wait

WAITS: frozenset[Wait] = frozenset(
    ("lock", "semaphore", "condition", "event", "barrier", "queue.get", "queue.put")
)

HELD: frozenset[Wait] = frozenset(("lock", "semaphore", "condition"))
"""Waits for what somebody else holds."""

MAX_HOLDERS = 2_000
"""Tasks searched for who holds them: 30 µs each."""

_Key = tuple["Wait", str, "model.Frame | None"]


class _Things:
    """``since``: since when the one that has waited longest has not moved, as far as that is known."""

    __slots__ = ("held_by", "ids", "since", "waiters")

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.waiters = 0
        self.since: float | None = None
        self.held_by: list[str] = []

    def add(self, thing: object, since: float | None) -> None:
        self.ids.add(id(thing))
        self.waiters += 1
        if since is not None:
            self.since = since if self.since is None else min(self.since, since)


def rows(
    registry: Registry, since: Callable[[int], float | None], threads: Iterable[model.Thread]
) -> Job[list[model.Resource]]:
    """``since``: since when a task, by its serial, has not moved; None: unknown."""
    found: dict[_Key, _Things] = {}
    for task in live_tasks(registry.task_records()):
        if task is None:
            yield
            continue
        _add(task, found, since)
        del task
    yield from _find_holders(registry, found)
    return [
        *(_row(*key, things) for key, things in found.items()),
        *_of_threads(threads),
    ]


def _add(task: object, found: dict[_Key, _Things], since: Callable[[int], float | None]) -> None:
    frames = stacks.await_chain(futures.coroutine(task))
    shape = stacks.shape_of(frames)
    if shape.known is None or shape.known.rule.wait not in WAITS:
        return
    thing = variables_of(frames[shape.known.at]).get("self")
    key = shape.known.rule.wait, class_name(thing), shape.user or shape.frame
    found.setdefault(key, _Things()).add(thing, since(futures.serial_of(task) or 0))


def _find_holders(registry: Registry, found: dict[_Key, _Things]) -> Job[None]:
    """Names the tasks that hold what others wait for."""
    wanted = {number: things for key, things in found.items() if key[0] in HELD for number in things.ids}
    left = MAX_HOLDERS if wanted else 0
    for task in live_tasks(registry.task_records()) if wanted else ():
        if task is None or not left:
            yield
            continue
        left -= 1
        _note_held(task, wanted)
        del task
        if spent():
            yield


def _note_held(task: object, wanted: dict[int, _Things]) -> None:
    for held in holdings.of_task(task):
        things = wanted.get(id(held.thing))
        if things is not None:
            where = f"{held.where.file.rpartition('/')[2]}:{held.where.line}"
            things.held_by.append(f"{futures.name_of(task)} at {where}")


def _row(wait: Wait, name: str, frame: model.Frame | None, things: _Things) -> model.Resource:
    held = things.held_by
    more = f" and {len(held) - 1:,} more" if len(held) > 1 else ""
    return model.Resource(
        "primitive",
        name,
        len(things.ids),
        detail=f"held by {held[0]}{more}" if held else "",
        frame=frame,
        users=things.waiters,
        since=things.since,
    )


def _of_threads(threads: Iterable[model.Thread]) -> list[model.Resource]:
    """Those that threads wait for, which are not told apart: as many as there are waiting threads."""
    found: dict[tuple[Wait, str, model.Frame | None], int] = {}
    for each in threads:
        if each.wait in WAITS:
            key = each.wait, each.detail, each.frame
            found[key] = found.get(key, 0) + 1
    return [
        model.Resource("primitive", f"{wait} of threads", count, detail=detail, frame=frame, users=count)
        for (wait, detail, frame), count in found.items()
    ]
