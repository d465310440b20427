"""Who can cancel a stuck task: code that refers to this one task.

A variable, an attribute or a dictionary entry refers to one task, and its holder may cancel it.  A set or a
list merely keeps tasks: a task stays stuck if only such collections refer to it.  They are searched for from
modules and other tasks (see ``keepers``); a reference that is not found is assumed to be a holder's.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from taskscope.agent.inspect import island, keepers, referents
from taskscope.agent.inspect.island import Island, inside
from taskscope.agent.inspect.looking import items, kinds, module_of
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from weakref import ref

    from taskscope.agent.inspect.walk import Job

_COLLECTIONS = kinds(list, set, frozenset, tuple, deque)
_MEMORY = ("asyncio", "_asyncio", "_contextvars")


def is_collection(thing: object) -> bool:
    """Whether its entries have no names."""
    return id(type(thing)) in _COLLECTIONS


def singles_out(thing: object) -> bool:
    """Whether it refers to one task by name: not a collection, not asyncio's bookkeeping."""
    return not is_collection(thing) and module_of(type(thing)).partition(".")[0] not in _MEMORY


def owned(
    wanted: Mapping[int, int], counted: Container[int], others: Iterable[ref[object]], loops: list[object]
) -> Job[dict[int, str]]:
    """The tasks, by ``id``, that something refers to by name, and that name ("" if unknown).

    ``wanted``: the number of references to each task by ``id``, without those of the objects whose ids are
    ``counted``.  ``others``: tasks that continue.
    """
    left = dict(wanted)
    names: dict[int, str] = {}
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
            if id(each) not in wanted and number < few:
                around.add(each, place)
            if not number & 63 and spent():
                yield
        place += 1
        if spent():
            yield
    return {**{id: "" for id, count in left.items() if count}, **names}


def _name(around: Island, place: int, task: object) -> str:
    thing = around.things[place]
    if id(type(thing)) in referents.COROUTINES:
        return referents.variable_of(thing, task)
    owner = around.things[around.origin[place]] if type(thing) is dict else thing
    return referents.attribute_of(owner, task, 0)
