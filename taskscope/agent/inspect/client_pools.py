"""Pools of connections and the like, of any library: a limit, and as many members that were taken.

No library is known by name.  An object is a full pool for whoever waits in a method of it, if one of its
containers has as many members as one of its numbers says, and either this method, or one that it calls, deals
with both and with sizes; or it waits for a queue of so many places, into which the same things are put as
into the container.  What is waited for has to belong to the pool: a condition or queue that it has, or
something in another container of it.
"""

from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import connections, futures, handles, origins
from taskscope.agent.inspect.caches import Cache
from taskscope.agent.inspect.looking import (
    attribute,
    attributes_of,
    class_name,
    is_a,
    items,
    kinds,
    mro,
    number,
    own_attributes,
    pairs,
    size,
    slots_of,
    text,
)
from taskscope.agent.inspect.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from taskscope.model.vocabulary import Wait

MAX_FRAMES = 12
"""Frames of a wait that are looked at, innermost first."""

MAX_MEMBERS = 1_000

TRIED, NEAR = 2, 150
"""Members, and objects around each, searched for a connection."""

MAX_FUNCTIONS = 300
"""Methods of a class that are read."""

CALLS = 2
"""How far calls of its own methods are followed from the one that waits."""

MAX_OBJECTS = 1_000
"""Objects searched for what is waited for."""

WAITS: frozenset[Wait] = frozenset(("event", "condition", "queue.get", "future", "unknown"))
"""Waits that may be for a member: not for time, the kernel or an owner."""

_CONTAINERS = kinds(list, set, dict, deque, defaultdict, OrderedDict)
_SIZES = ("len", "range")
_PUTS = frozenset(("append", "add", "put", "put_nowait"))


class Pool(NamedTuple):
    """``thing`` has given out all of its ``members``."""

    thing: object
    members: tuple[object, ...]


_methods: Cache[dict[str, frozenset[str]]] = Cache(500)
_added: Cache[frozenset[tuple[str, str]]] = Cache(500)


Known = dict[tuple[int, int], "frozenset[int] | None"]
"""Of objects and the methods in which others wait, by ``id``: the members' ids; None: it is no full pool."""


def waited_for(frames: list[FrameType], waiter: object, known: Known) -> Pool | None:
    """The full pool that a task or thread waits for, by its frames, innermost first.

    ``waiter``: the future that a task waits for; None: of a thread.  ``known``: from the same look; of a pool
    that is known the members are left out.
    """
    primitive: object = None
    for at, frame in enumerate(frames[:MAX_FRAMES]):
        origin = origins.origin(origins.file_of(frame.f_code))
        thing = variables_of(frame).get("self")
        if origin == "stdlib":
            primitive = thing if thing is not None else primitive
        elif thing is not None:
            key = id(thing), id(frame.f_code)
            pool = Pool(thing, ()) if key in known else _pool(thing, frame.f_code, primitive, waiter)
            if key not in known:
                known[key] = frozenset(map(id, pool.members)) if pool is not None else None
            if pool is not None and _is_without(known[key], frames[: at + 1]):
                return pool
        if origin == "user":
            break
    return None


def _pool(thing: object, code: CodeType, primitive: object, waiter: object) -> Pool | None:
    """What it is for those that wait in a method of it."""
    names = dict(_attributes(thing))
    limits = {name for name, each in names.items() if type(each) is int and each > 0}
    for name, each in names.items():
        alike = {limit for limit in limits if names[limit] == size(each)} if _is_container(each) else None
        if alike and (
            _is_compared(name, alike, type(thing), code) or _is_queued(name, primitive, names, type(thing))
        ):
            pool = Pool(thing, _members(each))
            return pool if _keeps_connections(pool) and _queues(pool, primitive, waiter) else None
    return None


def _attributes(thing: object) -> Iterator[tuple[str, object]]:
    for name, value in (*pairs(attributes_of(thing)), *slots_of(thing)):
        yield text(name), value


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


def _keeps_connections(pool: Pool) -> bool:
    """Whether one of the first members leads to a transport or a socket."""
    return any(
        connections.is_end(each)
        for member in pool.members[:TRIED]
        for each in handles.nearest([member], NEAR, {id(pool.thing)})
    )


# -- what the code says ------------------------------------------------------------------------------


def _is_compared(name: str, limits: set[str], cls: type, code: CodeType) -> bool:
    """Whether the waiting method, or one that it calls, deals with the size of a container and a limit."""
    return any(
        name in each and not each.isdisjoint(limits) and not each.isdisjoint(_SIZES)
        for each in _mentioned(cls, code)
    )


def _mentioned(cls: type, code: CodeType) -> Iterator[frozenset[str]]:
    """The names that the waiting method mentions, and each of the methods that it calls."""
    methods, found = _methods_of(cls), [_names_in(code)]
    seen: set[str] = set()
    for _ in range(CALLS + 1):
        yield from found
        called = {name for each in found for name in each if name in methods} - seen
        seen |= called
        found = [methods[name] for name in called]


def _methods_of(cls: type) -> dict[str, frozenset[str]]:
    known = _methods.get(cls)
    if known is None:
        codes = _codes_of(cls)
        known = _methods.put(cls, {name: _names_in(code) for name, code in codes.items()})
    return known


def _codes_of(cls: type) -> dict[str, CodeType]:
    found: dict[str, CodeType] = {}
    for each in mro(cls):
        for name, value in list(own_attributes(each).items())[:MAX_FUNCTIONS]:
            function = value.fget if type(value) is property else attribute(value, "__wrapped__") or value
            if type(function) is FunctionType:
                found.setdefault(text(name), function.__code__)
    return found


def _names_in(code: CodeType) -> frozenset[str]:
    inner = (name for each in code.co_consts if type(each) is CodeType for name in each.co_names)
    return frozenset((*code.co_names, *inner))


def _is_queued(name: str, primitive: object, names: Mapping[str, object], cls: type) -> bool:
    """Whether it waits for a queue with a place for each that is kept under a name, and these go into it."""
    places = next((n for each in ("_maxsize", "maxsize") if (n := number(attribute(primitive, each)))), 0)
    if places != size(names[name]) or not any(
        size(attribute(primitive, each)) == 0 for each in ("_queue", "queue")
    ):
        return False
    queue = next((each for each, value in names.items() if value is primitive), None)
    codes = [each for each in _codes_of(cls).values() if not {name, queue}.isdisjoint(each.co_names)]
    added = {pair for code in codes if not _PUTS.isdisjoint(code.co_names) for pair in _added_in(code)}
    return any((queue, variable) in added for attr, variable in added if attr == name)


def _added_in(code: CodeType) -> frozenset[tuple[str, str]]:
    """``self.ATTRIBUTE.append(VARIABLE)`` and the like, as pairs."""
    known = _added.get(code)
    if known is None:
        import dis

        steps = [each for each in dis.get_instructions(code) if each.opname.startswith("LOAD_")]
        known = _added.put(
            code,
            frozenset(
                (str(of.argval), str(what.argval))
                for of, how, what in zip(steps, steps[1:], steps[2:], strict=False)
                if how.argval in _PUTS and what.opname.startswith("LOAD_FAST")
            ),
        )
    return known


# -- what is waited for ------------------------------------------------------------------------------


def _queues(pool: Pool, primitive: object, waiter: object) -> bool:
    """Whether the wait is for a place in a queue of the pool, as opposed to any of its other events."""
    names = list(_attributes(pool.thing))
    if class_name(primitive).rpartition(".")[2].endswith(("Condition", "Queue")):
        return any(value is primitive for _, value in names)
    places = [each for _, each in names if _is_container(each)]
    own = {id(pool.thing), *map(id, pool.members)}
    return any(
        each is waiter or (each is primitive and primitive is not None)
        for each in handles.nearest(places, MAX_OBJECTS, own)
    )


def _is_without(members: frozenset[int] | None, frames: list[FrameType]) -> bool:
    """Whether no method of the pool in which it waits has a member: else it waits for what comes next."""
    return members is not None and not any(
        id(each) in members for frame in frames for each in variables_of(frame).values()
    )
