"""Who can cancel a stuck task: code that refers to this one task.

A variable, an attribute or a dictionary entry refers to one task, and its holder may cancel it.  A set or a
list merely keeps tasks, and so does a dictionary that nothing looks into: a task stays stuck if only such
collections refer to it.  They are searched for from
modules and other tasks (see ``keepers``); a reference that is not found is assumed to be a holder's.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, NamedTuple

from taskscope.agent.inspect import island, keepers, referents
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import attributes_of, items, kinds, module_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from weakref import ref

    from taskscope.agent.inspect.keepers import Place
    from taskscope.agent.inspect.walk import Job

_COLLECTIONS = kinds(list, set, frozenset, tuple, deque)
_MEMORY = ("asyncio", "_asyncio", "_contextvars")


def is_collection(thing: object) -> bool:
    """Whether its entries have no names."""
    return id(type(thing)) in _COLLECTIONS


def singles_out(thing: object) -> bool:
    """Whether it refers to one task by name: not a collection, not asyncio's bookkeeping."""
    return not is_collection(thing) and module_of(type(thing)).partition(".")[0] not in _MEMORY


class Owned(NamedTuple):
    """By what name something refers to a task ("" if unknown).

    ``entries``: it is only an entry of these dictionaries; empty if it is more than that.
    """

    name: str
    entries: tuple[Place, ...] = ()


def owned(
    wanted: Mapping[int, int], counted: Container[int], others: Iterable[ref[object]], loops: list[object]
) -> Job[dict[int, Owned]]:
    """The tasks, by ``id``, that something refers to by name.

    ``wanted``: the number of references to each task by ``id``, without those of the objects whose ids are
    ``counted``.  ``others``: tasks that continue.
    """
    left = dict(wanted)
    names: dict[int, str] = {}
    places: dict[int, list[Place | None]] = defaultdict(list)
    around = Island(loops)
    yield from keepers.begin(around, others)
    place, until = 1, clock.monotonic() + island.PATIENCE
    while any(left.values()) and place < len(around.things) < keepers.MOST and clock.monotonic() < until:
        thing = around.things[place]
        many = items(thing, island.MAX_INSIDE) if is_collection(thing) else inside(thing)
        few = keepers.FEW if is_collection(thing) else len(many)
        for number, each in enumerate(many):
            if left.get(id(each)) and id(thing) not in counted:
                left[id(each)] -= 1
                if singles_out(thing):
                    names.setdefault(id(each), _name(around, place, each))
                    places[id(each)].append(_entry_of(around, place))
            if id(each) not in wanted and number < few:
                around.add(each, place)
            if not number & 63 and spent():
                yield
        place += 1
        if spent():
            yield
    found = {id: Owned(name, _all(places[id]) if not left[id] else ()) for id, name in names.items()}
    return {**{id: Owned("") for id, count in left.items() if count}, **found}


def _all(places: list[Place | None]) -> tuple[Place, ...]:
    known = tuple(each for each in places if each is not None)
    return known if len(known) == len(places) else ()


def _entry_of(around: Island, place: int) -> Place | None:
    """The dictionary at an index; None if its entries are attributes or variables."""
    thing, holder = around.things[place], around.things[around.origin[place]]
    if type(thing) is not dict or thing is attributes_of(holder) or referents.is_globals(thing):
        return None
    return keepers.place_of(around, place)


def _name(around: Island, place: int, task: object) -> str:
    thing = around.things[place]
    if id(type(thing)) in referents.COROUTINES:
        return referents.variable_of(thing, task)
    owner = around.things[around.origin[place]] if type(thing) is dict else thing
    return referents.attribute_of(owner, task, 0)
