"""Pools that keep nothing of what they lend: they only count it, or miss it in a queue with a place for each.

Who has it is known by what refers back to the pool: an object in which the pool's own methods have written
the pool down, or one of the same library, that leads to a connection which the pool itself does not lead to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import connections, handles, methods, origins
from taskscope.agent.inspect.looking import attribute, items, last_items, module_of, number
from taskscope.agent.inspect.looking import size as size_of
from taskscope.agent.inspect.walk import spent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import CodeType

    from taskscope.agent.inspect.walk import Job

MAX_OBJECTS, NEAR = 1_000, 150
"""Objects searched from one task or thread, and around each that refers to the pool."""

ENDS, WAITING = 100, 2_000
"""First and last entries of a list of those that wait, and objects searched there for one of them."""

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


def lends(
    thing: object, names: Mapping[str, object], code: CodeType, inner: Sequence[object], waiter: object
) -> Job[Lends | None]:
    """What a pool lends, for those that wait in a method of it; None: it is none, or has something left.

    ``names``: its attributes; ``inner``: the objects in whose methods it waits, innermost first; ``waiter``:
    the future, of a task.
    """
    if places_of(thing):
        return None  # it is a queue itself
    size = _missed(names, type(thing), code, inner)
    if not size:
        size = yield from _counted(names, type(thing), code, (*inner, waiter))
    if not size:
        return None
    own = set()
    for each in handles.nearest([thing], OWN):
        own.add(id(each))
        if spent():
            yield
    package = origins.package_of(origins.file_of(code))
    connects = any(map(connections.is_class, names.values()))
    return Lends(size, frozenset(own), methods.marks(type(thing)), package, connects)


def _missed(names: Mapping[str, object], cls: type, code: CodeType, inner: Sequence[object]) -> int:
    """The places of the empty queue that it waits for, if it puts something back there.

    And as many more as it makes beyond them, up to a limit that is reached.
    """
    for name, queue in names.items():
        waits = any(queue is each for each in inner)
        if waits and is_empty(queue) and methods.added(cls, {name}):
            return places_of(queue) + _reached(names, [frozenset(code.co_names)])
    return 0


def _counted(names: Mapping[str, object], cls: type, code: CodeType, awaited: Sequence[object]) -> Job[int]:
    """The limit that a counter has reached, if nothing is left, and what is waited for stands in a list."""
    lists = [each for each in names.values() if size_of(each) is not None]
    reached = _reached(names, methods.mentioned(cls, code))
    if not reached or all(size_of(each) for each in lists):
        return 0
    for each in handles.nearest(ends_of(lists), WAITING):
        if any(each is other for other in awaited):
            return reached
        if spent():
            yield
    return 0


def _reached(names: Mapping[str, object], mentioned: Iterable[frozenset[str]]) -> int:
    """The number at which a counter stands and that one method compares it with."""
    most = 0
    for each in mentioned:
        numbers = [value for name in each if type(value := names.get(name)) is int and value > 0]
        most = max((value for value in numbers if numbers.count(value) > 1), default=most)
    return most


def ends_of(containers: Iterable[object]) -> list[object]:
    """Their first entries and their last, and they themselves: whoever has a member already came late."""
    kept = list(containers)
    near = [each for one in kept for each in (*items(one, ENDS), *last_items(one, ENDS))]
    return [*near, *kept]


def places_of(queue: object) -> int:
    """How many items it takes; 0: any number, or it is no queue."""
    return next((found for name in _PLACES if (found := number(attribute(queue, name)))), 0)


def is_empty(queue: object, depth: int = 3) -> bool:
    """Whether it has no item; a queue may be built around another one."""
    inner = [each for name in _QUEUES if (each := attribute(queue, name)) is not None]
    return any(size_of(each) == 0 or (depth > 1 and is_empty(each, depth - 1)) for each in inner)


# -- who has it --------------------------------------------------------------------------------------


def is_marked(holder: object, number: int, lent: Lends) -> bool:
    """Whether the pool with that ``id`` has written itself down in an object, or its library has."""
    if lent.package and module_of(type(holder)).partition(".")[0] == lent.package:
        return True
    return any(id(attribute(holder, name)) == number for name in lent.marks)


def ends(holder: object, number: int, lent: Lends) -> Job[frozenset[int]]:
    """The open connections that an object leads to, other than through the pool."""
    found = set()
    for each in handles.nearest([holder], NEAR, {number, *lent.own}):
        if connections.is_connection(each) and _is_open(each):
            found.add(id(each))
        if spent():
            yield
    return frozenset(found)


def _is_open(connection: object) -> bool:
    if connections.is_end(connection):
        return connections.is_open(connection)
    return attribute(connection, "_closed") is not True
