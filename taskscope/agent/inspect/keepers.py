"""Names the container that keeps a site's tasks alive, live or ended.

The search starts where a person would: at the program's modules and at functions suspended in other tasks.
It goes outwards, nearest first, until it finds tasks of the site; the path there provides the name.
"""

from __future__ import annotations

import sys
from collections import Counter
from types import ModuleType
from typing import TYPE_CHECKING

from taskscope.agent.inspect import futures, island, origins, referents, removals, weights
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import attributes_of, class_name, is_a, items, module_of, size, text
from taskscope.agent.inspect.walk import spent
from taskscope.model import Keeper
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from weakref import ref

    from taskscope.agent.inspect.walk import Job

MOST = 20_000
"""Most objects inspected."""

FEW = 200
"""Entries inspected of a larger container."""

ENOUGH = 20
"""Tasks of the site that end the search."""

PRIMITIVES = ("asyncio", "_asyncio", "concurrent", "queue", "threading")
"""Where the classes are defined that tasks wait in."""


def keeper_of(site: object, others: Iterable[ref[object]], loops: list[object]) -> Job[Keeper | None]:
    """The container that keeps most of the tasks found; None if none was found in time.

    ``site``: their record; ``others``: tasks of other sites.
    """
    around = Island(loops)
    yield from begin(around, others)
    met: list[int] = []
    place, until = 1, clock.monotonic() + island.PATIENCE
    while place < len(around.things) < MOST and clock.monotonic() < until and len(met) < ENOUGH:
        thing = around.things[place]
        chunk = futures.chunk_of(thing) if place in around.waiting else None
        if chunk is not None and chunk.site is site:
            met.append(place)
        else:
            for number, each in enumerate(_some(thing)):
                around.add(each, place)
                if not number & 63 and spent():
                    yield
        place += 1
        if spent():
            yield
    if not met:
        return None
    containers = {place: _container(around, place) for place in met}
    chosen, _ = Counter(containers.values()).most_common(1)[0]
    met = [place for place in met if containers[place] == chosen]
    yield
    return (yield from _described(around, chosen, met)) if chosen else None


def begin(around: Island, others: Iterable[ref[object]]) -> Job[None]:
    """Adds the modules and the tasks that a search starts from."""
    for names in list(_modules()):
        around.add(names)
        if spent():
            yield
    for reference in others:
        around.add(reference())


def _modules() -> Iterator[object]:
    """The dictionaries of the program's own modules."""
    for module in list(sys.modules.values()):
        if is_a(module, ModuleType):
            names = attributes_of(module)
            file = text(names.get("__file__"))
            if file and origins.origin(file) == "user":
                yield names


def _some(thing: object) -> list[object]:
    length = size(thing)
    return items(thing, FEW) if length is not None and length > FEW else inside(thing)


def _container(around: Island, place: int) -> int:
    """The index of the container nearest to a task, not counting dictionaries of attributes; 0: none.

    Lists of who waits, such as a queue's getters, are part of the task's own wait and keep nothing.
    """
    at = waiter = _waiter(around, place)
    at = at or around.origin[place]
    while at:
        thing, owner = around.things[at], around.things[around.origin[at]]
        if (
            referents.is_container(thing)
            and thing is not attributes_of(owner)
            and not referents.is_globals(thing)
            and not (waiter and _lists_waiters(around, at))
        ):
            return at
        at = around.origin[at]
    return 0


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


def _described(around: Island, at: int, met: list[int]) -> Job[Keeper]:
    things = around.things
    thing, owner = things[at], _owner(around, at)
    holder = things[owner] if owner else None
    module = module_of(type(holder)) if _is_of_the_program(holder) else ""
    ended = [things[place] for place in met if futures.is_done(things[place])]
    each = sum(map(weights.of_outcome, ended)) // len(ended) if ended else None
    name = _name(holder, thing)
    emptied = holder is not None and (yield from removals.takes_out(holder, thing))
    entry = _entry(around, at, met[0])
    return Keeper(name, class_name(thing), size(thing) or 0, module, each, entry, emptied)


def _entry(around: Island, at: int, place: int) -> str:
    """The class of the container's entry that keeps a task; "" if that is the task, or plain data."""
    entry = place
    while around.origin[entry] != at:
        entry = around.origin[entry]
    thing = around.things[entry]
    plain = futures.is_future(thing) or referents.is_container(thing) or entry == place
    return "" if plain else class_name(thing)


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
