"""Locks, conditions, semaphores, pools and the like that somebody waits for, as rows of resources.

Those of a kind that are waited for at one line make one row.  Nothing is kept of them: across a pause they
are told apart by ``id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskscope import model
from taskscope.agent.inspect import client_pools, futures, had, holdings, stacks
from taskscope.agent.inspect.looking import class_name
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import live_tasks, spent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taskscope.agent.counts.registry import Registry
    from taskscope.agent.inspect.lending import Lends
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
    """``since``: since when the one that has waited longest has not moved, as far as that is known.

    ``pools``: what pools lend, by ``id``, None of those that keep it; ``kept``: the pool of each member of
    these; ``size``: members in all.
    """

    __slots__ = ("held_by", "ids", "kept", "pools", "since", "size", "waiters")

    def __init__(self) -> None:
        self.ids: set[int] = set()
        self.pools: dict[int, Lends | None] = {}
        self.kept: dict[int, int] = {}
        self.size = 0
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
    pools: client_pools.Known = {}
    for task in live_tasks(registry.task_records()):
        if task is None:
            yield
            continue
        yield from _add(task, found, since, pools)
        del task
    yield from _find_holders(registry, found)
    return [
        *(_row(*key, things) for key, things in found.items()),
        *_of_threads(threads),
    ]


def _add(
    task: object, found: dict[_Key, _Things], since: Callable[[int], float | None], pools: client_pools.Known
) -> Job[None]:
    frames = client_pools.frames_of(task)
    shape = stacks.shape_of(frames)
    wait: Wait = shape.known.rule.wait if shape.known is not None else "unknown"
    of_pool = wait in client_pools.WAITS
    pool = None
    if of_pool:
        yield from client_pools.read_classes(frames)
        pool = yield from client_pools.waited_for(frames, futures.waiter_of(task), pools)
    if pool is not None:
        wait, thing = "semaphore", pool.thing
    elif shape.known is not None and wait in WAITS:
        thing = variables_of(frames[shape.known.at]).get("self")
    else:
        return
    things = found.setdefault((wait, class_name(thing), shape.user or shape.frame), _Things())
    things.add(thing, since(futures.serial_of(task) or 0))
    if pool is not None and (pool.members or pool.lends):
        things.pools[id(pool.thing)] = pool.lends
        things.kept.update((id(each), id(pool.thing)) for each in pool.members)
        things.size += pool.lends.size if pool.lends is not None else len(pool.members)


def _find_holders(registry: Registry, found: dict[_Key, _Things]) -> Job[None]:
    """Names the tasks that hold what others wait for."""
    held = [things for key, things in found.items() if key[0] in HELD]
    wanted = {number: things for things in held if not things.pools for number in things.ids}
    pools = [things for things in held if things.pools]
    left = MAX_HOLDERS if held else 0
    for task in live_tasks(registry.task_records()) if held else ():
        if task is None or not left:
            yield
            continue
        left -= 1
        yield from _note_held(task, wanted, pools)
        del task
        if spent():
            yield


def _note_held(task: object, wanted: dict[int, _Things], pools: list[_Things]) -> Job[None]:
    """``pools``: of these the members are held, not they themselves."""
    yield from holdings.read(task)
    held = holdings.of_task(task)
    for each in held:
        things = wanted.get(id(each.thing))
        if things is not None:
            things.held_by.append(f"{futures.name_of(task)}{_at(each.where)}")
    for pool in pools:
        for taken in (yield from had.had(pool.pools, pool.kept, held, client_pools.frames_of(task))):
            pool.held_by.append(f"{futures.name_of(task)}{_at(taken.where)}")


def _at(where: model.Frame | None) -> str:
    return f" at {where.file.rpartition('/')[2]}:{where.line}" if where is not None else ""


def _row(wait: Wait, name: str, frame: model.Frame | None, things: _Things) -> model.Resource:
    held = things.held_by
    more = f" and {len(held) - 1:,} more" if len(held) > 1 else ""
    size = things.size
    parts = [f"all {size:,} taken" if size > 1 else "taken"] if size else []
    parts += [f"held by {held[0]}{more}"] if held else []
    return model.Resource(
        "primitive",
        name,
        len(things.ids),
        detail=", ".join(parts),
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
