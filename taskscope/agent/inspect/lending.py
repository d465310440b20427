"""Pools that keep nothing of what they lend: they only count it, or miss it in a queue with a place for each.

Who has it is known by what refers back to the pool: an object in which the pool's own methods have written
the pool down, or one of the same library, that leads to a connection which the pool itself does not lead to.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import calls, connections, handles, methods, origins
from taskscope.agent.inspect.looking import attribute, module_of, number
from taskscope.agent.inspect.looking import size as size_of
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import CodeType, FrameType

    from taskscope.agent.inspect.holdings import Holding
    from taskscope.agent.inspect.walk import Job
    from taskscope.model import Frame

MAX_OBJECTS, NEAR = 1_000, 150
"""Objects searched from one task or thread, and around each that refers to the pool."""

OWN = 300
"""Objects around the pool that are its own."""

_PLACES, _QUEUES = ("_maxsize", "maxsize"), ("_queue", "queue")


class Lends(NamedTuple):
    """``size``: how many it has lent, which are all.  ``own``: what it leads to itself, by ``id``.

    ``marks``: the attributes in which it writes itself down; ``package``: of its library, "" if it is none.
    ``connects``: it has a class of connections, so what nobody is seen to have is out all the same.  Else it
    may be a queue of work, and those that wait have nothing to do.
    """

    size: int
    own: frozenset[int]
    marks: frozenset[str]
    package: str
    connects: bool


def lends(thing: object, code: CodeType, inner: Sequence[object], waiter: object) -> Lends | None:
    """What a pool lends, for those that wait in a method of it; None: it is none, or has something left.

    ``inner``: the objects in whose methods it waits, innermost first; ``waiter``: the future, of a task.
    """
    if places_of(thing):
        return None  # it is a queue itself
    names = dict(methods.attributes_of(thing))
    size = _missed(names, type(thing), code, inner) or _counted(names, type(thing), code, (*inner, waiter))
    if not size:
        return None
    own = frozenset(map(id, handles.nearest([thing], OWN)))
    package = origins.package_of(origins.file_of(code))
    connects = any(map(connections.is_class, names.values()))
    return Lends(size, own, methods.marks(type(thing)), package, connects)


def _missed(names: Mapping[str, object], cls: type, code: CodeType, inner: Sequence[object]) -> int:
    """The places of the empty queue that it waits for, if it puts something back there.

    And as many more as it makes beyond them, up to a limit that is reached.
    """
    for name, queue in names.items():
        waits = any(queue is each for each in inner)
        if waits and is_empty(queue) and methods.added(cls, {name}):
            return places_of(queue) + _reached(names, [frozenset(code.co_names)])
    return 0


def _counted(names: Mapping[str, object], cls: type, code: CodeType, awaited: Sequence[object]) -> int:
    """The limit that a counter has reached, if nothing is left, and what is waited for stands in a list."""
    lists = [each for each in names.values() if size_of(each) is not None]
    standing = {id(each) for each in handles.nearest([each for each in lists if size_of(each)], NEAR)}
    awaits = any(id(each) in standing for each in awaited if each is not None)
    if not awaits or all(size_of(each) for each in lists):
        return 0
    return _reached(names, methods.mentioned(cls, code))


def _reached(names: Mapping[str, object], mentioned: Iterable[frozenset[str]]) -> int:
    """The number at which a counter stands and that one method compares it with."""
    most = 0
    for each in mentioned:
        numbers = [value for name in each if type(value := names.get(name)) is int and value > 0]
        most = max((value for value in numbers if numbers.count(value) > 1), default=most)
    return most


def places_of(queue: object) -> int:
    """How many items it takes; 0: any number, or it is no queue."""
    return next((found for name in _PLACES if (found := number(attribute(queue, name)))), 0)


def is_empty(queue: object, depth: int = 3) -> bool:
    """Whether it has no item; a queue may be built around another one."""
    inner = [each for name in _QUEUES if (each := attribute(queue, name)) is not None]
    return any(size_of(each) == 0 or (depth > 1 and is_empty(each, depth - 1)) for each in inner)


# -- who has it --------------------------------------------------------------------------------------


class Lent(NamedTuple):
    """A member by its connections, each by ``id``, and the line at which it was taken, if that is known."""

    ends: frozenset[int]
    where: Frame | None


class _Variable(NamedTuple):
    """A variable, for the line that gave it its value."""

    code: CodeType
    at: int
    name: str


class _Reached(NamedTuple):
    """An object on the way from what somebody has.  ``owner``: that which it is a part of."""

    thing: object
    owner: object
    where: Frame | _Variable | None


def lent_to(
    number: int, lent: Lends, held: Iterable[Holding], frames: Sequence[FrameType]
) -> Job[list[Lent]]:
    """What somebody has of the pool with that ``id``.

    ``held``: what it has entered; ``frames``: innermost first.
    """
    entered = [
        each for each in held if each.where.origin == "user"
    ]  # what those entered is found behind them
    queue = [_Reached(each.thing, None, each.where) for each in entered] + list(_variables(frames))
    seen = {number, *lent.own, *(id(each.thing) for each in queue)}
    selves = {id(each.thing) for each in queue if type(each.where) is _Variable and each.where.name == "self"}
    found = []
    for thing, owner, where in queue:  # which grows
        for each in gc.get_referents(thing)[:MAX_OBJECTS]:
            if id(each) == number:
                holder = owner if type(thing) is dict else thing
                if id(holder) not in selves and _is_marked(holder, number, lent):
                    found.append(Lent(frozenset(_ends(holder, number, lent)), _line_of(where)))
            elif id(each) not in seen and len(queue) < MAX_OBJECTS and handles.leads_on(each):
                seen.add(id(each))
                queue.append(_Reached(each, thing, where))
        if spent():
            yield
    return [each for each in found if each.ends]


def _variables(frames: Sequence[FrameType]) -> Iterator[_Reached]:
    """Of the program's functions and of libraries, outermost first: the one that took something is there."""
    caller: Frame | None = None
    for frame in reversed(frames):
        code = frame.f_code
        origin = origins.origin(origins.file_of(code))
        if origin == "user":
            caller = origins.frame_of(code, frame.f_lineno)
        for name, value in variables_of(frame).items() if origin != "stdlib" else ():
            if handles.leads_on(value):
                own = origin == "user" or name == "self"
                yield _Reached(value, None, _Variable(code, frame.f_lasti, name) if own else caller)


def _line_of(where: Frame | _Variable | None) -> Frame | None:
    if not isinstance(where, _Variable):
        return where
    line = calls.line_storing(*where)
    return origins.frame_of(where.code, line) if line else None


def _is_marked(holder: object, number: int, lent: Lends) -> bool:
    """Whether the pool with that ``id`` has written itself down in an object, or its library has."""
    if lent.package and module_of(type(holder)).partition(".")[0] == lent.package:
        return True
    return any(id(attribute(holder, name)) == number for name in lent.marks)


def _ends(holder: object, number: int, lent: Lends) -> Iterable[int]:
    return (
        id(each)
        for each in handles.nearest([holder], NEAR, {number, *lent.own})
        if connections.is_connection(each) and _is_open(each)
    )


def _is_open(connection: object) -> bool:
    if connections.is_end(connection):
        return connections.is_open(connection)
    return attribute(connection, "_closed") is not True
