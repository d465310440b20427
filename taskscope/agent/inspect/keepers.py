"""Names the container that keeps a site's tasks alive, live or ended.

The search starts where a person would: at the program's modules and at functions suspended in other tasks.
It goes outwards, nearest first, until it finds tasks of the site; the path there provides the name.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from types import ModuleType
from typing import TYPE_CHECKING, Literal, NamedTuple

from taskscope.agent.inspect import futures, island, origins, referents, removals, stacks, weights
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import (
    attributes_of,
    class_name,
    is_a,
    items,
    kinds,
    last_items,
    lookup,
    module_of,
    mro,
    pairs,
    size,
    slots_of,
    text,
)
from taskscope.agent.inspect.variables import variables_of
from taskscope.agent.inspect.walk import spent
from taskscope.model import Keeper
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from weakref import ref

    from taskscope.agent.inspect.walk import Job

MOST = 20_000
"""Most objects inspected."""

FEW = 200
"""Entries inspected of a larger container."""

ENOUGH = 20
"""Tasks of the site that end the search."""

MAJORITY = 0.6
"""Share of the tasks found that is most of them."""

PLAIN = kinds(list, dict, set, deque, defaultdict, OrderedDict)
"""Containers that only the program's code empties."""

GROWING = referents.CONTAINERS - kinds(tuple, frozenset)
"""Containers that can gain entries."""

PRIMITIVES = ("asyncio", "_asyncio", "concurrent", "queue", "threading")
"""Where the classes are defined that tasks wait in."""


class Place(NamedTuple):
    """How the program's source mentions a container.

    ``kind``: an attribute of ``classes``, a variable of the module in ``file``, or one of the function there
    that begins at ``line``.
    """

    kind: Literal["attribute", "global", "variable"]
    name: str
    file: str
    line: int = 0
    classes: tuple[str, ...] = ()


class Found(NamedTuple):
    """``place``: None if its source cannot tell all that happens to it."""

    keeper: Keeper
    place: Place | None


def keeper_of(
    is_wanted: Callable[[object], bool], others: Iterable[ref[object]], loops: list[object]
) -> Job[Found | None]:
    """The container that keeps most of the tasks or threads found; None if none was found in time.

    ``is_wanted``: whether an object is one of them; ``others``: tasks of other sites.
    """
    around = Island(loops)
    yield from begin(around, others)
    met: list[int] = []
    place, until = 1, clock.monotonic() + island.PATIENCE
    while place < len(around.things) < MOST and clock.monotonic() < until and len(met) < ENOUGH:
        thing = around.things[place]
        if is_wanted(thing):
            met.append(place)
        else:
            yield from around.add_all(some(thing), place)
        place += 1
        if spent():
            yield
    if not met:
        return None
    chosen, met = _shared(around, met)
    yield
    return (yield from _described(around, chosen, met)) if chosen else None


def begin(around: Island, others: Iterable[ref[object]]) -> Job[None]:
    """Adds the modules and the tasks that a search starts from."""
    for names in _modules():
        if names is not None:
            around.add(names)
        if spent():
            yield
    for reference in others:
        around.add(reference())


def _modules() -> Iterator[object | None]:
    """The dictionaries of the program's own modules, None for others; an interactive one has no file."""
    for module in list(sys.modules.values()):
        names = attributes_of(module) if is_a(module, ModuleType) else {}
        file = text(names.get("__file__"))
        own = origins.origin(file) == "user" if file else module is sys.modules.get("__main__")
        yield names if own else None


def some(thing: object) -> list[object]:
    """What it refers to: of a larger container, the first and the last entries, as it has an order."""
    length = size(thing)
    if length is None or length <= FEW:
        return inside(thing)
    return [*items(thing, FEW // 2), *last_items(thing, FEW // 2)]


def _shared(around: Island, met: list[int]) -> tuple[int, list[int]]:
    """The index of the innermost container that most tasks are in, and those; 0: none.

    If most share none, the one that has most of them.
    """
    within = {place: list(_containers(around, place)) or [0] for place in met}
    counted = Counter(each for containers in within.values() for each in containers)
    most = [each for each, count in counted.items() if count >= MAJORITY * len(met)]
    chosen = max(most, default=0) or max(counted, key=counted.__getitem__, default=0)
    return chosen, [place for place in met if chosen in within[place]]


def _containers(around: Island, place: int) -> Iterator[int]:
    """The indexes of the containers on the way to a task, innermost first.

    Dictionaries of attributes do not count.  Lists of who waits, such as a queue's getters, are part of the
    task's own wait and keep nothing.
    """
    at = waiter = _waiter(around, place)
    at = at or around.origin[place]
    while at:
        thing, owner = around.things[at], around.things[around.origin[at]]
        if (
            id(type(thing)) in GROWING
            and thing is not attributes_of(owner)
            and not referents.is_globals(thing)
            and not (waiter and _lists_waiters(around, at))
        ):
            yield at
        at = around.origin[at]


def _waiter(around: Island, place: int) -> int:
    """The index of the future that a task waits for, if it was found through it; else 0."""
    waiter, at = futures.waiter_of(around.things[place]), around.origin[place]
    while at and around.things[at] is not waiter:
        at = around.origin[at]
    return at


def _lists_waiters(around: Island, at: int) -> bool:
    owner = _owner(around, at)
    return owner != 0 and module_of(type(around.things[owner])).partition(".")[0] in PRIMITIVES


def _owner(around: Island, at: int) -> int:
    """The index of the object that has the container at an index as an attribute, or of what refers to it."""
    things, owner = around.things, around.origin[at]
    if owner and things[owner] is attributes_of(things[around.origin[owner]]):
        return around.origin[owner]
    return owner


def _described(around: Island, at: int, met: list[int]) -> Job[Found]:
    things = around.things
    thing, named, within, owner = things[at], things[at], "", _owner(around, at)
    if owner and _is_inside_another(around, owner):
        named, within, owner = things[owner], "[…]", _owner(around, owner)
    holder = things[owner] if owner else None
    module = module_of(type(holder)) if _is_of_the_program(holder) else ""
    ended = [things[place] for place in met if place in around.waiting and futures.is_done(things[place])]
    each = sum(map(weights.of_outcome, ended)) // len(ended) if ended else None
    name = _name(holder, named)
    name += within if name else ""
    emptied = holder is not None and (yield from removals.takes_out(holder, named))
    entry = _entry(around, at, met[0])
    keeper = Keeper(name, class_name(thing), size(thing) or 0, module, each, entry, emptied)
    return Found(keeper, place_of(around, at))


def _is_inside_another(around: Island, owner: int) -> bool:
    """Whether the owner of a container is one as well, which has an owner: the lists in a dictionary."""
    thing = around.things[owner]
    return id(type(thing)) in GROWING and not referents.is_globals(thing) and around.origin[owner] != 0


def _entry(around: Island, at: int, place: int) -> str:
    """The class of the container's entry that keeps a task; "" if that is the task, or plain data."""
    entry = place
    while around.origin[entry] != at:
        entry = around.origin[entry]
    thing = around.things[entry]
    plain = futures.is_future(thing) or referents.is_container(thing) or entry == place
    return "" if plain else class_name(thing)


def place_of(around: Island, at: int) -> Place | None:
    """Where the source mentions the container at an index; None if other code may as well."""
    thing, owner = around.things[at], _owner(around, at)
    holder = around.things[owner] if owner else None
    if id(type(thing)) not in PLAIN or (type(thing) is deque and thing.maxlen is not None):
        return None
    if id(type(holder)) in referents.COROUTINES:
        frame = stacks.frame_of(holder)
        if frame is None:
            return None
        code = frame.f_code
        name = _name_in(variables_of(frame), thing)
        return _in_file(Place("variable", name, origins.file_of(code), code.co_firstlineno))
    if referents.is_globals(holder):
        return _in_file(Place("global", _name_in(holder, thing), text(lookup(holder, "__file__"))))
    classes = [each for each in mro(type(holder)) if each is not object]
    if not all(map(_file_of, classes)):
        return None  # a library's code may look into it
    name = _name_in(attributes_of(holder), thing) or _name_in(dict(slots_of(holder)), thing)
    names = tuple(text(each.__name__) for each in classes)
    return _in_file(Place("attribute", name, _file_of(type(holder)), 0, names))


def _in_file(place: Place) -> Place | None:
    return place if place.name and origins.origin(place.file) == "user" else None


def _name_in(names: object, thing: object) -> str:
    return next((text(name) for name, value in pairs(names) if value is thing), "")


def _file_of(cls: type) -> str:
    """The file of the program that a class is defined in; "" if a library defines it."""
    file = text(lookup(attributes_of(sys.modules.get(module_of(cls))), "__file__"))
    return file if file and origins.origin(file) == "user" else ""


def _is_of_the_program(holder: object) -> bool:
    return holder is not None and module_of(type(holder)) not in ("", "builtins")


def _name(holder: object, thing: object) -> str:
    if holder is None:
        return ""
    if referents.is_globals(holder):
        return referents.name_in_module(holder, thing)
    if id(type(holder)) in referents.COROUTINES:
        return referents.variable_of(holder, thing)
    return referents.attribute_of(holder, thing)
