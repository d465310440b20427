"""Pools of connections and the like, of any library: a limit, and as many members that were taken.

No library is known by name.  An object is a full pool for whoever waits in a method of it, if one of its
containers has as many members as one of its numbers says, and either this method, or one that it calls, deals
with both and with sizes; or it waits for a queue of so many places, into which the same things are put as
into the container.  What is waited for has to belong to the pool: a condition or queue that it has, or
something in another container of it.  Pools that keep nothing of what they lend: ``lending``.
"""

from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import connections, futures, handles, lending, methods, origins, stacks
from taskscope.agent.inspect.looking import (
    attribute,
    class_name,
    is_a,
    items,
    kinds,
    module_of,
    pairs,
    size,
)
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

    from taskscope.agent.inspect.walk import Job
    from taskscope.model.vocabulary import Wait

MAX_FRAMES = 12
"""Frames of a wait that are looked at, innermost first."""

MAX_MEMBERS = 1_000

TRIED, NEAR = 2, 150
"""Members, and objects around each, searched for a connection."""

WAITS: frozenset[Wait] = frozenset(("event", "condition", "queue.get", "future", "unknown"))
"""Waits that may be for a member: not for time, the kernel or an owner."""

_CONTAINERS = kinds(list, set, dict, deque, defaultdict, OrderedDict)
_SIZES = ("len", "range")


class Pool(NamedTuple):
    """``thing`` has given out all of its ``members``; ``lends``: of a pool that does not keep them."""

    thing: object
    members: tuple[object, ...] = ()
    lends: lending.Lends | None = None


Known = dict[tuple[int, int], "frozenset[int] | None"]
"""Of objects and the methods in which others wait, by ``id``: the members' ids; None: it is no full pool."""


def frames_of(task: object) -> list[FrameType]:
    """Those of a suspended task, innermost first, with those of greenlets that it runs."""
    found: list[FrameType] = []
    for frame in stacks.await_chain(futures.coroutine(task)):
        if "switch" in frame.f_code.co_names:
            for each in variables_of(frame).values():
                inner = attribute(each, "gr_frame") if module_of(type(each)) != "builtins" else None
                found += stacks.thread_frames(inner if type(inner) is FrameType else None)
        found.append(frame)
    return found


def waiting_in(frames: list[FrameType]) -> Iterator[tuple[int, FrameType, object]]:
    """The methods, by their place in the frames, of what a task or thread may wait for, innermost first."""
    for at, frame in enumerate(frames[:MAX_FRAMES]):
        has_self = "self" in (*frame.f_code.co_varnames, *frame.f_code.co_freevars)
        thing = variables_of(frame).get("self") if has_self else None
        if thing is not None:
            yield at, frame, thing
        if origins.origin(origins.file_of(frame.f_code)) == "user":
            break


def read_classes(frames: list[FrameType]) -> Job[None]:
    """Reads what ``waited_for`` has to know of the classes of these methods."""
    classes = [type(thing) for _, frame, thing in waiting_in(frames) if _is_of_program(frame)]
    del frames
    for each in classes:
        yield from methods.read(each)
        yield from methods.read_marks(each)


def waited_for(frames: list[FrameType], waiter: object, known: Known) -> Job[Pool | None]:
    """The full pool that a task or thread waits for, by its frames, innermost first.

    ``waiter``: the future that a task waits for; None: of a thread.  ``known``: from the same look; of a pool
    that is known the members are left out.
    """
    inner: list[object] = []
    primitive: object = None
    for at, frame, thing in waiting_in(frames):
        if not _is_of_program(frame):
            primitive = thing
        else:
            key = id(thing), id(frame.f_code)
            pool = Pool(thing) if known.get(key) is not None else None
            if key not in known:
                pool = yield from _pool(thing, frame.f_code, primitive, waiter, inner)
                known[key] = frozenset(map(id, pool.members)) if pool is not None else None
            if pool is not None and _is_without(known[key], frames[: at + 1]):
                return pool
        inner.append(thing)
    return None


def _is_of_program(frame: FrameType) -> bool:
    return origins.origin(origins.file_of(frame.f_code)) != "stdlib"


def _pool(
    thing: object, code: CodeType, primitive: object, waiter: object, inner: list[object]
) -> Job[Pool | None]:
    """What it is for those that wait in a method of it."""
    names = yield from methods.attributes_of(thing)
    limits = {name for name, each in names.items() if type(each) is int and each > 0}
    for name, each in names.items():
        alike = {limit for limit in limits if names[limit] == size(each)} if _is_container(each) else None
        if alike and (
            _is_compared(name, alike, type(thing), code) or _is_queued(name, primitive, names, type(thing))
        ):
            pool = Pool(thing, _members(each))
            if (yield from _keeps_connections(pool)):
                return pool if (yield from _queues(pool, names, primitive, waiter)) else None
        if spent():
            yield
    lends = yield from lending.lends(thing, names, code, inner, waiter)
    return Pool(thing, (), lends) if lends is not None else None


def _is_container(thing: object) -> bool:
    return id(type(thing)) in _CONTAINERS


def _members(container: object) -> tuple[object, ...]:
    """What is kept; nothing if there are plain values among it, or what waits or runs."""
    found = items(container, MAX_MEMBERS + 1)
    if is_a(container, dict) and not all(map(gc.is_tracked, found)):
        found = [key for key, _ in pairs(container)]
    if len(found) > MAX_MEMBERS or any(not gc.is_tracked(each) or futures.is_future(each) for each in found):
        return ()
    return tuple(found)


def _keeps_connections(pool: Pool) -> Job[bool]:
    """Whether one of the first members leads to a transport or a socket."""
    for member in pool.members[:TRIED]:
        for each in handles.nearest([member], NEAR, {id(pool.thing)}):
            if connections.is_end(each):
                return True
            if spent():
                yield
    return False


# -- what the code says ------------------------------------------------------------------------------


def _is_compared(name: str, limits: set[str], cls: type, code: CodeType) -> bool:
    """Whether the waiting method, or one that it calls, deals with the size of a container and a limit."""
    return any(
        name in each and not each.isdisjoint(limits) and not each.isdisjoint(_SIZES)
        for each in methods.mentioned(cls, code)
    )


def _is_queued(name: str, primitive: object, names: Mapping[str, object], cls: type) -> bool:
    """Whether it waits for a queue with a place for each that is kept under a name, and these go into it."""
    if lending.places_of(primitive) != size(names[name]) or not lending.is_empty(primitive):
        return False
    queue = next((each for each, value in names.items() if value is primitive), None)
    added = methods.added(cls, {name, queue})
    return any((queue, variable) in added for attr, variable in added if attr == name)


# -- what is waited for ------------------------------------------------------------------------------


def _queues(pool: Pool, names: Mapping[str, object], primitive: object, waiter: object) -> Job[bool]:
    """Whether the wait is for a place in a queue of the pool, as opposed to any of its other events."""
    if class_name(primitive).rpartition(".")[2].endswith(("Condition", "Queue")):
        return any(value is primitive for value in names.values())
    places = [each for each in names.values() if _is_container(each)]
    own = {id(pool.thing), *map(id, pool.members)}
    for each in handles.nearest(lending.ends_of(places), lending.WAITING, own):
        if each is waiter or (each is primitive and primitive is not None):
            return True
        if spent():
            yield
    return False


def _is_without(members: frozenset[int] | None, frames: list[FrameType]) -> bool:
    """Whether no method of the pool in which it waits has a member: else it waits for what comes next."""
    return members is not None and not any(
        id(each) in members for frame in frames for each in variables_of(frame).values()
    )
