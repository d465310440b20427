"""What nothing outside refers to: the garbage collector's own reasoning, about a small part of the heap.

An island is a set of objects with all their references to one another.  An object to which there are more
references than these is held from outside, by whatever it may be: a module, a running frame, an object
written in C; and so is all that it leads to.  What is left over can be reached by nobody.  No part of the
heap is too small for that: what was not looked into only counts as outside.

A suspended task stops the spreading: that somebody knows the task is no way to what it waits for.

While an island is looked at it keeps its objects alive: at most ``MOST`` of them, for ``PATIENCE`` seconds.
"""

from __future__ import annotations

import builtins
import functools
import gc
import sys
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import TYPE_CHECKING
from weakref import getweakrefcount, getweakrefs, ref

from taskscope.agent.inspect import futures
from taskscope.agent.inspect.looking import is_a, kinds, module_of, size
from taskscope.agent.inspect.walk import spent
from taskscope.system import clock

if TYPE_CHECKING:
    from taskscope.agent.inspect.walk import Job

MOST = 20_000
"""Objects of one island."""

PATIENCE = 2.0
"""Seconds that the largest island may take, with all its pauses."""

MAX_INSIDE = 5_000
"""References of one container that are followed: 0.1 ms in which the program stands still."""

_BORROWS = kinds(GeneratorType, AsyncGeneratorType) if sys.version_info >= (3, 14) else kinds()
"""Their frames may show the collector a reference that they do not own: told once, it proves less."""

_HAS_LOCALS = sys.version_info < (3, 13)
"""A frame may have a dictionary of its variables, ahead of its function; held by us, it would stay filled."""

_BUILTINS = vars(builtins)

_OPAQUE = (type, ModuleType, CodeType, functools._lru_cache_wrapper)
"""Kinds that everything knows.  They are outside."""


class OwnRef(ref):  # type: ignore[type-arg]
    """A weak reference of ours, told from the program's: through one of theirs an object can be reached."""

    __slots__ = ()


class Island:
    """Objects in order of their distance from those that were added first.  ``waiting``: places of tasks."""

    def __init__(self, loops: list[object]) -> None:
        self.things: list[object] = [object()]  # the first is ours: it tells what counting a reference costs
        self.waiting: set[int] = set()
        self.at: dict[int, int] = {}
        self.origin = [0]
        self._outside = {id(loop) for loop in loops}
        self._opaque: dict[int, tuple[type, bool]] = {}

    def grow(self, most: int, until: float) -> Job[None]:
        """Takes in what its objects refer to, up to ``most`` objects, or until that moment."""
        place = 1
        while place < len(self.things) < most and clock.monotonic() < until:
            for number, each in enumerate(inside(self.things[place])):
                self.add(each)
                if not number & 63 and spent():
                    yield
            place += 1
            if spent():
                yield

    def add(self, thing: object, origin: int = 0) -> None:
        """Takes in an object, met at the object at that place; 0: it is one of the first."""
        if id(thing) in self.at or not gc.is_tracked(thing) or self.is_outside(thing):
            return
        self.at[id(thing)] = len(self.things)
        if futures.is_task(thing):
            self.waiting.add(len(self.things))
        self.things.append(thing)
        self.origin.append(origin)

    def is_outside(self, thing: object) -> bool:
        kind = type(thing)
        known = self._opaque.get(id(kind))
        if known is None:
            opaque = issubclass(kind, _OPAQUE) or module_of(kind).partition(".")[0] == "taskscope"
            known = self._opaque[id(kind)] = kind, opaque
        return known[1] or id(thing) in self._outside

    def held(self) -> Job[set[int]]:
        """Places of the objects that something outside refers to."""
        counts = [0] * len(self.things)
        thing = each = None
        for thing in self.things:
            for number, each in enumerate(inside(thing)):
                place = self.at.get(id(each))
                if place is not None:
                    counts[place] += 1
                if not number & 63 and spent():
                    yield
        del thing, each  # they would count
        things, found = self.things, set()
        for place, count in enumerate(counts):
            extra = sys.getrefcount(things[place]) - count
            if place == 0:
                base = extra
            elif extra != base or (place not in self.waiting and _is_known_weakly(things[place])):
                found.add(place)
            if not place & 63 and spent():
                yield
        return found

    def without(self, gone: set[int]) -> Job[Island]:
        """The rest of it."""
        rest = Island([])
        rest._outside, rest._opaque = self._outside, self._opaque
        for place, thing in enumerate(self.things):
            if place and place not in gone:
                rest.add(thing)
            if not place & 63 and spent():
                yield
        return rest


def inside(thing: object) -> list[object]:
    """What an object owns references to, one for each; nothing of a huge container."""
    length = size(thing)
    if length is not None and length > MAX_INSIDE:
        return []
    found = gc.get_referents(thing)
    if type(thing) is FunctionType:
        return [each for each in found if each is not thing.__globals__ and each is not _BUILTINS]
    if _HAS_LOCALS and type(thing) is CoroutineType:
        return found[next((at for at, each in enumerate(found) if type(each) is FunctionType), 0) :]
    if id(type(thing)) in _BORROWS:
        return list({id(each): each for each in found}.values())
    return found


def _is_known_weakly(thing: object) -> bool:
    return getweakrefcount(thing) > 0 and any(not is_a(each, OwnRef) for each in getweakrefs(thing))
